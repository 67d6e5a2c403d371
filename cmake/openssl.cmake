# OpenSSL, for TLS: always the shared library, so that the fixes of the distribution reach a server that was built before
# them. Defines the target naiad_openssl.
find_package(OpenSSL 3.0 COMPONENTS SSL Crypto)
if(NOT OPENSSL_FOUND)
  message(FATAL_ERROR "OpenSSL 3 is missing: apt-get install libssl-dev")
endif()
message(STATUS "naiad: OpenSSL ${OPENSSL_VERSION}, the shared library")

add_library(naiad_openssl INTERFACE)
target_link_libraries(naiad_openssl INTERFACE OpenSSL::SSL OpenSSL::Crypto)
