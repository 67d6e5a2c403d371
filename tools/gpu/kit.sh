#!/usr/bin/env bash
# kit.sh DIRECTORY: gathers what `make gpu` needs and a machine without a network may lack: headers and shared libraries of
# zlib, nghttp2 and OpenSSL, doctest, and the protocol's descriptors. All of it is this machine's own; take the directory
# along with the checkout. KIT_PYTHON names a Python that has grpcio-tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
kit=$1
python=${KIT_PYTHON:-.venv/bin/python}
headers=(zlib.h zconf.h nghttp2 openssl doctest)

die() {
  printf 'naiad: %s\n' "$*" >&2
  exit 1
}

triple=$(c++ -dumpmachine)
rm -rf "$kit"
mkdir -p "$kit/include" "$kit/lib"
for header in "${headers[@]}"; do
  [ -e "/usr/include/$header" ] || die "/usr/include/$header is missing: make dev installs it"
  cp -rL "/usr/include/$header" "$kit/include/"
done
# Debian has the headers that differ from machine to machine in a folder of their own.
[ ! -d "/usr/include/$triple/openssl" ] || cp -rL "/usr/include/$triple/openssl" "$kit/include/"
for library in z nghttp2 ssl crypto; do
  file=$(c++ -print-file-name="lib$library.so")
  [ -e "$file" ] || die "lib$library.so is missing: make dev installs it"
  name=$(objdump -p "$file" | sed -n 's/^ *SONAME *//p')
  cp -L "$file" "$kit/lib/$name"
  ln -s "$name" "$kit/lib/lib$library.so"
done
"$python" -m grpc_tools.protoc -Iprotos --include_imports --descriptor_set_out="$kit/descriptors.binpb" \
  model_config.proto grpc_service.proto health.proto || die "the descriptors could not be made: make dev"
cat protos/*.proto | sha256sum | cut -d ' ' -f 1 > "$kit/protos.sha256"
du -sh "$kit" | sed 's/^/naiad: /'
