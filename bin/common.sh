# What bin/demo and bin/test share. Sourced, not run. For bash 3.2 and later, GNU or BSD tools.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
self=bin/$(basename "$0")
needed_kb=5000000 # TensorFlow and the rest take 2.7 GB, pip's downloads 1 GB, the demo 0.5 GB

say() {
  printf '%s\n' "$*" >&2
}

fail() {
  say "$self: $*"
  exit 1
}

# Runs a command that a signal to this script also reaches, and waits for it. It gets a process
# group of its own: the signal is passed on once, and nothing outlives this script.
child=
run() {
  start "$@"
  wait_for_child
}

start() {
  set -m
  "$@" </dev/null &
  child=$!
  set +m
}

wait_for_child() {
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

stop_child() { # SIGNAL
  if [ -n "$child" ]; then
    kill -s "$1" -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    child=
  fi
}

is_debian() {
  command -v apt-get >/dev/null 2>&1
}

is_root() {
  [ "$(id -u)" = 0 ]
}

sudo_word() {
  is_root || printf 'sudo '
}

# Sets $python to one that runs: a name on the PATH may be an empty shim that fails. One that
# can make an environment is preferred; else $python is left to one that cannot.
find_python() {
  local candidate
  python=
  for candidate in python3.13 python3.12 python3.11 python3 python; do
    fits "$candidate" || continue
    python=$candidate
    if has_venv "$candidate"; then
      return 0
    fi
  done
  if [ -z "$python" ]; then
    fail "no Python 3.11, 3.12 or 3.13 runs here; install one with: $(how_to_get_python)"
  fi
}

fits() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

has_venv() {
  "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

how_to_get_python() {
  if is_debian; then
    echo "$(sudo_word)apt-get install python3 python3-venv"
  elif [ "$(uname -s)" = Darwin ]; then
    echo "brew install python@3.13"
  else
    echo "your system's package manager"
  fi
}

venv_package() {
  "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

check_venv_module() {
  has_venv "$python" ||
    fail "$python has no venv module; install it with: $(sudo_word)apt-get install $(venv_package)"
}

check_machine() {
  if [ "$(uname -s)" = Darwin ] && [ "$("$python" -c 'import os; print(os.uname().machine)')" != arm64 ]; then
    fail "TensorFlow has no package for this Mac's processor; use an Apple silicon Mac or Linux" \
      "(and no Python under Rosetta: brew install python@3.13)"
  fi
}

check_disk() {
  local free_kb
  free_kb=$(df -Pk "$root" | awk 'END { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit } }')
  if [ "$free_kb" -lt "$needed_kb" ]; then
    fail "$((free_kb / 1000)) MB are free on the disk of $root and $((needed_kb / 1000)) are needed;" \
      "make room (see what takes it: du -sh ~/.cache ~/* | sort -h), then run $self again"
  fi
}

# Makes the environment $1 hold the requirements files $2...; does nothing where it already does.
install_requirements() {
  local venv=$1 file
  shift
  local stamp=$venv/.installed-requirements sum arguments=()
  sum=$(cd "$root" && cat requirements-service.txt "$@" | cksum)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    return 0
  fi
  find_python
  check_venv_module
  check_machine
  check_disk
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "making $venv with $("$python" --version)"
    run "$python" -m venv --clear "$venv" || fail "$python -m venv $venv failed; its message is above"
  fi
  check_index "$venv"
  for file in "$@"; do
    arguments+=(-r "$root/$file")
  done
  run "$venv/bin/python" -m pip install --disable-pip-version-check "${arguments[@]}" ||
    fail "pip could not install $*; its message is above; run $self again to go on"
  printf '%s' "$sum" >"$stamp"
}

# Asks the index for one small package, so that an unreachable one is said in one sentence and
# not by pip's minutes of retries.
check_index() {
  run "$1/bin/python" -m pip install --disable-pip-version-check --quiet --dry-run --no-deps \
    --ignore-installed --retries 1 --timeout 15 tqdm >/dev/null 2>&1 ||
    fail "pip cannot reach its package index; check the network and the proxy" \
      "($1/bin/python -m pip config list), then run $self again"
}
