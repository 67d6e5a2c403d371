# For backends in libraries of their own:
#
#   find_package(naiad REQUIRED CONFIG)       # -Dnaiad_DIR=$(naiad cmake-dir)
#   naiad_add_backend(doubler doubler.cc)     # libnaiad_doubler.so
#
# The target naiad::backend has the headers <naiad/backend.h> (C) and <naiad/backend.hpp> (C++17).

if(NOT TARGET naiad::backend)
  add_library(naiad::backend INTERFACE IMPORTED)
  set_target_properties(naiad::backend PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}/../include"
    INTERFACE_COMPILE_FEATURES cxx_std_17)
endif()

function(naiad_add_backend name)
  add_library(naiad_${name} MODULE ${ARGN})
  set_target_properties(naiad_${name} PROPERTIES PREFIX lib CXX_VISIBILITY_PRESET hidden)
  target_link_libraries(naiad_${name} PRIVATE naiad::backend)
endfunction()
