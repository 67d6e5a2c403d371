#!/usr/bin/env bash
# Builds the example fleet where it is missing and serves it; says how to ask once the server is ready.
#
#   serve_fleet.sh DIR [FLAG ...]       HTTP_PORT, GRPC_PORT and METRICS_PORT change the ports
set -euo pipefail
cd "$(dirname "$0")/.."

fleet=$1
shift
http=${HTTP_PORT:-8000}

.venv/bin/naiad fleet build "$fleet"

# $$ is the server once it has taken this shell's place; when it ends, so does the waiting.
(
  until curl -sfo /dev/null "localhost:$http/v2/health/ready"; do
    kill -0 $$ 2> /dev/null || exit 0
    sleep 0.2
  done
  cat << END

Ready. Ask it (docs/quickstart.md has more):

  curl -s localhost:$http/v2/models/tokenizer/infer \\
    -d '{"inputs": [{"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "data": ["Hello Triton"]}]}'

END
) &
exec .venv/bin/naiad serve --model-repository="$fleet" --http-port="$http" \
  --grpc-port="${GRPC_PORT:-8001}" --metrics-port="${METRICS_PORT:-8002}" "$@"
