# Compiles protos/*.proto to one FileDescriptorSet, which naiad/protos.py loads into a descriptor pool of its own.
# Needs Python_EXECUTABLE with grpcio-tools, or NAIAD_DESCRIPTORS_FROM, a file that was made so. Sets NAIAD_DESCRIPTORS,
# the file to install into the package naiad, and defines the target naiad_descriptors (part of ALL).
set(NAIAD_PROTO_DIR "${CMAKE_CURRENT_LIST_DIR}/../protos")
set(NAIAD_PROTOS model_config.proto grpc_service.proto health.proto)
set(NAIAD_DESCRIPTORS "${CMAKE_BINARY_DIR}/descriptors.binpb")

set(naiad_proto_paths ${NAIAD_PROTOS})
list(TRANSFORM naiad_proto_paths PREPEND "${NAIAD_PROTO_DIR}/")
set(NAIAD_DESCRIPTORS_FROM "" CACHE FILEPATH "Compiled descriptors to take in place of compiling protos/")

if(NAIAD_DESCRIPTORS_FROM)
  configure_file("${NAIAD_DESCRIPTORS_FROM}" "${NAIAD_DESCRIPTORS}" COPYONLY)
  add_custom_target(naiad_descriptors ALL DEPENDS "${NAIAD_DESCRIPTORS}")
  return()
endif()
add_custom_command(
  OUTPUT "${NAIAD_DESCRIPTORS}"
  COMMAND "${Python_EXECUTABLE}" -m grpc_tools.protoc "-I${NAIAD_PROTO_DIR}" --include_imports
          "--descriptor_set_out=${NAIAD_DESCRIPTORS}" ${NAIAD_PROTOS}
  DEPENDS ${naiad_proto_paths}
  COMMENT "Compiling protos to descriptors.binpb"
  VERBATIM)
add_custom_target(naiad_descriptors ALL DEPENDS "${NAIAD_DESCRIPTORS}")
