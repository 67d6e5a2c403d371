#!/usr/bin/env bash
# Makes a wheel of naiad run on other machines: repair_wheel.sh DIRECTORY WHEEL
#
# libnghttp2 goes into the wheel, for hardly any machine has it. OpenSSL does not: every distribution that is new enough for the
# wheel (glibc 2.34) has OpenSSL 3, and its fixes must reach a server that was installed before them. zlib and libstdc++ are
# part of what a manylinux system has.
set -euo pipefail
exec auditwheel repair --exclude libssl.so.3 --exclude libcrypto.so.3 --wheel-dir "$1" "$2"
