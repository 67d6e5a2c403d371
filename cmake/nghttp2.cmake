# libnghttp2, the framing of gRPC: linked statically where its archive is position independent (Debian's is not), so
# that the module needs nothing at run time; as a shared library otherwise. Defines the target naiad_nghttp2.
include(CheckCXXSourceCompiles)

find_path(NGHTTP2_INCLUDE_DIR nghttp2/nghttp2.h)
find_library(NGHTTP2_ARCHIVE NAMES libnghttp2.a)
find_library(NGHTTP2_LIBRARY NAMES nghttp2)
if(NOT NGHTTP2_INCLUDE_DIR OR (NOT NGHTTP2_ARCHIVE AND NOT NGHTTP2_LIBRARY))
  message(FATAL_ERROR "libnghttp2 is missing: apt-get install libnghttp2-dev")
endif()

# The two limits are the fixes of CVE-2023-44487 and CVE-2024-28182, which distributions carry back.
set(naiad_nghttp2_use "#include <sys/types.h>
#include <nghttp2/nghttp2.h>
extern \"C\" void limit(nghttp2_option* option) {
  nghttp2_option_set_stream_reset_rate_limit(option, 1, 1);
  nghttp2_option_set_max_continuations(option, 1);
}")
set(CMAKE_REQUIRED_INCLUDES "${NGHTTP2_INCLUDE_DIR}")
set(CMAKE_REQUIRED_FLAGS "-fPIC")
set(CMAKE_REQUIRED_LINK_OPTIONS "-shared")
if(NGHTTP2_ARCHIVE)
  # All of it: a part may be fit for a shared object where another is not.
  set(CMAKE_REQUIRED_LIBRARIES "-Wl,--whole-archive;${NGHTTP2_ARCHIVE};-Wl,--no-whole-archive")
  check_cxx_source_compiles("${naiad_nghttp2_use}" NAIAD_NGHTTP2_STATIC)
endif()
if(NAIAD_NGHTTP2_STATIC)
  set(naiad_nghttp2_file "${NGHTTP2_ARCHIVE}")
else()
  set(CMAKE_REQUIRED_LIBRARIES "${NGHTTP2_LIBRARY}")
  set(CMAKE_REQUIRED_LINK_OPTIONS "-shared;-Wl,--no-undefined")
  check_cxx_source_compiles("${naiad_nghttp2_use}" NAIAD_NGHTTP2_SHARED)
  if(NOT NAIAD_NGHTTP2_SHARED)
    message(FATAL_ERROR "libnghttp2 is too old: it lacks the limits on stream resets and CONTINUATION frames, expected "
                        "1.61 or a distribution's version with these fixes")
  endif()
  set(naiad_nghttp2_file "${NGHTTP2_LIBRARY}")
endif()
unset(CMAKE_REQUIRED_INCLUDES)
unset(CMAKE_REQUIRED_FLAGS)
unset(CMAKE_REQUIRED_LINK_OPTIONS)
unset(CMAKE_REQUIRED_LIBRARIES)
message(STATUS "naiad: ${naiad_nghttp2_file}")

add_library(naiad_nghttp2 INTERFACE)
target_include_directories(naiad_nghttp2 SYSTEM INTERFACE "${NGHTTP2_INCLUDE_DIR}")
target_link_libraries(naiad_nghttp2 INTERFACE "${naiad_nghttp2_file}")
