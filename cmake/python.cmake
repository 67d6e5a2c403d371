# naiad._core: the one Python module, over all rooms.

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG QUIET)
if(NOT pybind11_FOUND)
  execute_process(COMMAND ${Python_EXECUTABLE} -m pybind11 --cmakedir OUTPUT_VARIABLE pybind11_DIR
                  OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing)
  if(missing)
    message(FATAL_ERROR "pybind11 is missing: pip install pybind11")
  endif()
  find_package(pybind11 CONFIG REQUIRED)
endif()

file(GLOB bindings CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/csrc/bindings/*.cc)
pybind11_add_module(_core MODULE ${bindings})
if(NOT SKBUILD_PROJECT_VERSION)
  set(SKBUILD_PROJECT_VERSION "0.0.0")
endif()
target_compile_definitions(_core PRIVATE NAIAD_VERSION="${SKBUILD_PROJECT_VERSION}")
# pybind11's headers are not ours to warn about; -Wconversion does not get through them.
target_compile_options(_core PRIVATE -Wall -Wextra -Wshadow -Werror)
target_link_libraries(_core PRIVATE naiad_io naiad_backends)
if(NAIAD_COVERAGE)
  target_sources(_core PRIVATE ${CMAKE_SOURCE_DIR}/tests/coverage/write_counts.cc)
endif()
install(TARGETS _core LIBRARY DESTINATION .)
# The module that existing Triton model.py files import by this name lies beside the package.
if(SKBUILD_PLATLIB_DIR)
  install(FILES ${CMAKE_SOURCE_DIR}/python/triton_python_backend_utils.py DESTINATION ${SKBUILD_PLATLIB_DIR})
endif()
# What backends in libraries of their own are built with.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/csrc/backends/sdk/ DESTINATION include)
install(FILES ${CMAKE_SOURCE_DIR}/cmake/naiadConfig.cmake DESTINATION cmake)
