# The target naiad_zlib: zlib's archive where its code can go into a shared object (naiad._core is one), the shared
# library otherwise (Debian's archive is not position-independent).
find_package(ZLIB)
if(NOT ZLIB_FOUND)
  message(FATAL_ERROR "zlib is missing: apt-get install zlib1g-dev")
endif()
add_library(naiad_zlib INTERFACE)
find_library(NAIAD_ZLIB_ARCHIVE libz.a)
mark_as_advanced(NAIAD_ZLIB_ARCHIVE)
if(NAIAD_ZLIB_ARCHIVE)
  file(WRITE ${CMAKE_BINARY_DIR}/zlib/probe.cc
       "#include <zlib.h>\nint probe(z_stream* s) { return inflate(s, Z_NO_FLUSH) + deflate(s, Z_FINISH); }\n")
  try_compile(NAIAD_ZLIB_ARCHIVE_IS_PIC ${CMAKE_BINARY_DIR}/zlib SOURCES ${CMAKE_BINARY_DIR}/zlib/probe.cc
              CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${ZLIB_INCLUDE_DIRS}" COMPILE_DEFINITIONS -fPIC
              LINK_OPTIONS -shared LINK_LIBRARIES ${NAIAD_ZLIB_ARCHIVE})
endif()
if(NAIAD_ZLIB_ARCHIVE_IS_PIC)
  target_include_directories(naiad_zlib INTERFACE ${ZLIB_INCLUDE_DIRS})
  target_link_libraries(naiad_zlib INTERFACE ${NAIAD_ZLIB_ARCHIVE})
  target_link_options(naiad_zlib INTERFACE -Wl,--exclude-libs,libz.a)
  message(STATUS "naiad: zlib ${ZLIB_VERSION_STRING}, its archive")
else()
  target_link_libraries(naiad_zlib INTERFACE ZLIB::ZLIB)
  message(STATUS "naiad: zlib ${ZLIB_VERSION_STRING}, the shared library")
endif()
