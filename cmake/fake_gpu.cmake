# fake_gpu/_core: the same module once more, over GPUs of tests/cpp/fakes/fake_gpu.h, for tests that serve where there
# is no GPU (tests/fake_gpu). Linked of what is compiled already, and not installed: of the device room's library
# nothing is taken, since tests/cpp/fake_device defines all that it would be asked for.

file(GLOB fake_device CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cpp/fake_device/*.cc)
pybind11_add_module(fake_gpu_core MODULE ${fake_device} $<TARGET_OBJECTS:_core>)
set_target_properties(fake_gpu_core PROPERTIES OUTPUT_NAME _core
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fake_gpu)
target_include_directories(fake_gpu_core PRIVATE ${CMAKE_SOURCE_DIR}/tests/cpp)
target_compile_options(fake_gpu_core PRIVATE -Wall -Wextra -Wshadow -Werror -O1)
target_link_libraries(fake_gpu_core PRIVATE naiad_io naiad_backends)
