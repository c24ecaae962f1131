#!/usr/bin/env bash
# What happens on a TPU machine; the scripts beside this one call it over ssh.
#
#   worker.sh adopt|install|start|report|stop|log|listen|unlisten|probe NAME [ARGUMENT...]
#
# Files, all under ~/flan_jax_runs/NAME/current: src/ (the code), launch/ (commit, config_hash,
# command.sh), and pid, exit_code, reported, log of the run. `current` is a link: each configuration
# has a folder. Each step ends with a line for the caller:
#   @flan-jax STEP worker=W ok|failed ...
set -euo pipefail

step=${1:?worker.sh needs a step} name=${2:?worker.sh needs a NAME}
shift 2
home=$HOME/flan_jax_runs/$name
current=$home/current
SECONDS_TO_SAVE=600 # A stopped run saves first; a checkpoint of XXL may take minutes.

metadata() {
  curl --fail --silent --max-time 5 --header 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}
worker=${TPU_WORKER_ID:-$(metadata agent-worker-number || true)}
worker=${worker:-unknown}

answer_ok() {
  echo "@flan-jax $step worker=$worker ok $*"
  exit 0
}
answer_failed() {
  echo "@flan-jax $step worker=$worker failed $*"
  exit 1
}

is_running() {
  # By its command line, since a restarted machine gives the number to another process.
  [[ -f $current/pid ]] &&
    grep -q supervise "/proc/$(<"$current/pid")/cmdline" 2>/dev/null
}

# ------------------------------------------------------------------------------- the steps

find_python() {
  local each
  for each in python3.13 python3.12 python3.11 python3; do
    if "$each" -c 'import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; then
      echo "$each"
      return
    fi
  done
}

adopt() { # adopt ID: makes the unpacked folder ID the current one.
  local present
  present=$(readlink "$current" || true)
  if is_running && [[ $present != "$1" ]]; then
    answer_failed "configuration $present is running here, not $1." \
      "Stop it first: tpu_scripts/launch.sh $name --replace ..."
  fi
  ln -sfn "$1" "$current"
  answer_ok "id=$1"
}

install() {
  # The environment depends only on these two files: a new commit rarely needs a new one. The code
  # itself is imported from src/, so what runs is the commit that was sent.
  local key venv python
  key=$(cat "$current/src/constraints.txt" "$current/src/setup.py" | sha256sum | cut -c 1-16)
  venv=$HOME/flan_jax_venvs/$key
  if [[ ! -f $venv/ready ]]; then
    rm -rf -- "$venv"
    mkdir -p -- "$HOME/flan_jax_venvs"
    python=$(find_python)
    if [[ -n $python ]]; then
      "$python" -m venv "$venv" >"$current/install.log" 2>&1 ||
        answer_failed "$python -m venv: $(tail -n 1 "$current/install.log")"
    else
      # Images of Ubuntu 22.04 bring Python 3.10; uv fetches a newer one.
      {
        python3 -m pip install --quiet --user 'uv>=0.5,<1' &&
          python3 -m uv venv --seed --python 3.12 "$venv"
      } >"$current/install.log" 2>&1 ||
        answer_failed "no Python 3.11 to 3.13, and uv could not fetch one:" \
          "$(tail -n 1 "$current/install.log")"
    fi
    "$venv/bin/python" -m pip install --quiet --constraint "$current/src/constraints.txt" \
      "$current/src[tpu]" >>"$current/install.log" 2>&1 ||
      answer_failed "pip: $(tail -n 1 "$current/install.log")"
    touch "$venv/ready"
  fi
  ln -sfn "$venv" "$current/venv"
  answer_ok "venv=$key"
}

start() { # start SLICE HOSTS: begins the command in a session of its own.
  if is_running; then
    answer_ok "already=running"
  fi
  end_listener # The port is the run's.
  rm -f -- "$current/pid" "$current/exit_code" "$current/reported"
  cd -- "$current"
  nohup setsid bash "$current/src/tpu_scripts/worker.sh" supervise "$name" "$@" \
    </dev/null >>"$current/log" 2>&1 &
  echo $! >"$current/pid"
  answer_ok "pid=$!"
}

supervise() { # Runs the command, says that it does, and keeps its exit code.
  local slice=$1 hosts=$2 code=0 before='' signalled='' child
  cd -- "$current/src"
  # The folder of the code comes first, whatever the environment has installed.
  PATH=$current/venv/bin:$PATH PYTHONPATH=$current/src bash "$current/launch/command.sh" &
  child=$!
  # A machine that is taken away ends us first: the command saves, and its exit code is kept.
  trap 'signalled=1; kill -TERM "$child" 2>/dev/null || true' TERM INT HUP
  {
    echo "host=$(hostname) process=$((slice * hosts + worker)) pid=$child" \
      "commit=$(<"$current/launch/commit") config=$(<"$current/launch/config_hash")"
  } >"$current/reported.new"
  mv -- "$current/reported.new" "$current/reported"
  while :; do
    # `wait` also ends when a signal arrives; then the command is still at work, or its code is yet
    # to be read. 127 says that it was read the time before.
    signalled='' code=0
    wait "$child" || code=$?
    if [[ $code == 127 && -n $before ]]; then
      code=$before
      break
    fi
    [[ -n $signalled ]] || break
    before=$code
  done
  echo "$code" >"$current/exit_code.new"
  mv -- "$current/exit_code.new" "$current/exit_code"
  exit "$code"
}

report() {
  local state=none code=- said=
  if [[ -f $current/reported ]]; then
    said=$(<"$current/reported")
  fi
  if [[ -f $current/exit_code ]]; then
    state=exited code=$(<"$current/exit_code")
  elif is_running; then
    state=starting
    if [[ -n $said ]]; then
      state=running
    fi
  elif [[ -f $current/pid ]]; then
    state=vanished # The machine was restarted, or the supervisor was killed.
  fi
  answer_ok "state=$state code=$code ${said:-host=$(hostname)}"
}

stop() {
  local waited=0
  if ! is_running; then
    answer_ok "state=stopped"
  fi
  kill -TERM "$(<"$current/pid")"
  while is_running && ((waited < SECONDS_TO_SAVE)); do
    sleep 1
    waited=$((waited + 1))
  done
  if is_running; then
    # The supervisor leads its session, so this reaches the command and its children.
    kill -KILL -- "-$(<"$current/pid")" 2>/dev/null || true
  fi
  answer_ok "state=stopped waited=$waited"
}

log() { # log LINES [follow]
  if [[ ! -f $current/log ]]; then
    answer_failed "there is no log yet"
  fi
  if [[ ${2:-} == follow ]]; then
    exec tail -n "$1" -F -- "$current/log"
  fi
  tail -n "$1" -- "$current/log"
}

listen() { # listen PORT SECONDS: accepts connections for a while, unless something does already.
  nohup python3 -c '
import socket, sys, time

port, seconds = int(sys.argv[1]), float(sys.argv[2])
with socket.create_server(("", port), backlog=1024) as server:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        server.settimeout(left)
        try:
            server.accept()[0].close()
        except TimeoutError:
            break
' "$1" "$2" </dev/null >/dev/null 2>&1 &
  echo $! >"$current/listener"
  local tries
  for ((tries = 0; tries < 50; tries++)); do
    if connects 127.0.0.1 "$1"; then
      answer_ok "port=$1"
    fi
    sleep 0.1
  done
  answer_failed "could not listen on port $1"
}

end_listener() {
  if [[ -f $current/listener ]]; then
    kill "$(<"$current/listener")" 2>/dev/null || true
    rm -f -- "$current/listener"
  fi
}

unlisten() {
  end_listener
  answer_ok
}

connects() { # connects ADDRESS PORT
  # shellcheck disable=SC2016  # The inner shell expands them.
  timeout 5 bash -c ': >"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

probe() { # probe ADDRESS PORT
  if connects "$1" "$2"; then
    answer_ok "port=$2 open"
  fi
  answer_failed "port=$2 closed"
}

case $step in
  adopt | install | start | supervise | report | stop | log | listen | unlisten | probe)
    "$step" "$@"
    ;;
  *) answer_failed "worker.sh has no step '$step'" ;;
esac
