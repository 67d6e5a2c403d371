# Chooses csrc/cuda or csrc/no_cuda: the same small header implemented twice. cudart is linked statically, so
# a module that was built with CUDA loads and works on a machine that has no driver.

set(NAIAD_DEVICE_ROOM no_cuda)
if(NOT NAIAD_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND AND TARGET CUDA::cudart_static)
    set(NAIAD_DEVICE_ROOM cuda)
  elseif(NAIAD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "NAIAD_CUDA=ON, but no CUDA toolkit with a static cudart was found")
  endif()
endif()
message(STATUS "naiad: device room ${NAIAD_DEVICE_ROOM}")

naiad_room(${NAIAD_DEVICE_ROOM} DEPENDS base)
if(NAIAD_DEVICE_ROOM STREQUAL "cuda")
  target_link_libraries(naiad_cuda PRIVATE CUDA::cudart_static)
endif()
