# Chooses csrc/cuda or csrc/no_cuda: the same small header implemented twice. cudart is linked statically, so
# a module that was built with CUDA loads and works on a machine that has no driver.

set(NAIAD_DEVICE_ROOM no_cuda)
if(NOT NAIAD_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND AND TARGET CUDA::cudart_static AND CUDAToolkit_NVCC_EXECUTABLE)
    set(NAIAD_DEVICE_ROOM cuda)
  elseif(NAIAD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "NAIAD_CUDA=ON, but no CUDA toolkit with nvcc and a static cudart was found")
  endif()
endif()
message(STATUS "naiad: device room ${NAIAD_DEVICE_ROOM}")

if(NAIAD_DEVICE_ROOM STREQUAL "cuda")
  set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "nvcc")
  # From Turing on, which is as far back as CUDA 13 goes, to what it knows; newer GPUs compile what the last
  # one left as PTX.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120 CACHE STRING "")
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  set(CMAKE_CUDA_STANDARD 17)  # CMake before 3.26 knows no later one of nvcc
  enable_language(CUDA)
endif()
naiad_room(${NAIAD_DEVICE_ROOM} DEPENDS base)
if(NAIAD_DEVICE_ROOM STREQUAL "cuda")
  target_link_libraries(naiad_cuda PRIVATE CUDA::cudart_static)
  file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/csrc/cuda/*.cu)
  target_sources(naiad_cuda PRIVATE ${kernels})
endif()
