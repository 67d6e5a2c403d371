# Compiles protos/*.proto to one FileDescriptorSet, which naiad/protos.py loads into a descriptor pool of its own.
# Needs Python_EXECUTABLE with grpcio-tools. Sets NAIAD_DESCRIPTORS, the file to install into the package naiad, and
# defines the target naiad_descriptors (part of ALL).
set(NAIAD_PROTO_DIR "${CMAKE_CURRENT_LIST_DIR}/../protos")
set(NAIAD_PROTOS model_config.proto grpc_service.proto health.proto)
set(NAIAD_DESCRIPTORS "${CMAKE_BINARY_DIR}/descriptors.binpb")

set(naiad_proto_paths ${NAIAD_PROTOS})
list(TRANSFORM naiad_proto_paths PREPEND "${NAIAD_PROTO_DIR}/")

add_custom_command(
  OUTPUT "${NAIAD_DESCRIPTORS}"
  COMMAND "${Python_EXECUTABLE}" -m grpc_tools.protoc "-I${NAIAD_PROTO_DIR}" --include_imports
          "--descriptor_set_out=${NAIAD_DESCRIPTORS}" ${NAIAD_PROTOS}
  DEPENDS ${naiad_proto_paths}
  COMMENT "Compiling protos to descriptors.binpb"
  VERBATIM)
add_custom_target(naiad_descriptors ALL DEPENDS "${NAIAD_DESCRIPTORS}")
