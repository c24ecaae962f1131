# shellcheck shell=bash
# shellcheck disable=SC2034  # Most of what is set here is read by the scripts.
# What the scripts of this folder share: messages, the table of slices, the record of a booking, and
# gcloud. Sourced, never run. Needs bash 4.4 (macOS ships 3.2: brew install bash).

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "$0: found bash $BASH_VERSION, expected 4.4 or newer. macOS: brew install bash" >&2
  exit 2
fi
set -euo pipefail

HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
REPO=${HERE%/*}
RECORDS=${FLAN_JAX_TPU_RECORDS:-$HOME/.flan_jax/tpu}
SCRIPT=${0##*/}

# Exit codes of the scripts; 2 and 6 mean what they mean in flan_jax/errors.py.
EXIT_FAILED=1
EXIT_USER=2
EXIT_PREEMPTED=6

DRY_RUN=
SCRATCH=$(mktemp -d)
trap 'rm -rf -- "$SCRATCH"' EXIT

# ------------------------------------------------------------------------------- messages

say() { echo "$SCRIPT: $*"; }
warn() { echo "$SCRIPT: $*" >&2; }
fail() { # fail CODE MESSAGE...
  local code=$1
  shift
  warn "$@"
  exit "$code"
}
quoted() { # The words as a shell reads them, on one line.
  local text
  printf -v text '%q ' "$@"
  echo "${text% }"
}

# ------------------------------------------------------------------------ the command line

value_of() { # value_of OPTION VALUE...: refuses an option without its value.
  if (($# < 2)) || [[ -z $2 || $2 == --* ]]; then
    fail $EXIT_USER "$1 needs a value. See: $SCRIPT --help"
  fi
  echo "$2"
}
split_options() { # Sets ARGUMENTS: `--option=value` becomes two words, up to a lone `--`.
  ARGUMENTS=()
  while (($#)); do
    if [[ $1 == -- ]]; then
      ARGUMENTS+=("$@")
      return
    elif [[ $1 == --*=* ]]; then
      ARGUMENTS+=("${1%%=*}" "${1#*=}")
    else
      ARGUMENTS+=("$1")
    fi
    shift
  done
}
unknown_option() { fail $EXIT_USER "there is no option '$1'. See: $SCRIPT --help"; }
check_number() { # check_number OPTION VALUE LEAST
  if [[ ! $2 =~ ^[0-9]+$ ]] || ((10#$2 < $3)); then
    fail $EXIT_USER "$1: found '$2', expected a whole number from $3 on."
  fi
}
check_name() {
  # Names go into remote commands and become names of machines.
  if [[ ! $1 =~ ^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$ ]]; then
    fail $EXIT_USER "NAME: found '$1', expected at most 40 of a-z, 0-9 and '-'," \
      "a letter first, no '-' last. See: $SCRIPT --help"
  fi
}
check_env() { # check_env INSTEAD NAME=VALUE...: refuses what is no assignment, and secrets.
  local instead=$1 each
  shift
  for each in "$@"; do
    [[ $each =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] ||
      fail $EXIT_USER "--env: found '$each', expected NAME=VALUE."
    [[ ! ${each%%=*} =~ TOKEN|SECRET|PASSWORD|CREDENTIAL|API_KEY ]] || fail $EXIT_USER \
      "--env ${each%%=*} looks like a secret, and --env is recorded and shown. Use $instead."
  done
}

# ------------------------------------------------------------------------------ the tables

find_slice() {
  # Sets SLICE, ACCELERATOR, TOPOLOGY, CHIPS, HOSTS, RUNTIME, GKE_ACCELERATOR, GKE_MACHINE for a
  # name (v4-128) or a shape (v4:4x4x4).
  local generation names=
  while IFS=$'\t' read -r SLICE generation ACCELERATOR TOPOLOGY CHIPS HOSTS RUNTIME \
    GKE_ACCELERATOR GKE_MACHINE; do
    if [[ $SLICE == '#'* || $SLICE == name ]]; then
      continue
    elif [[ $1 == "$SLICE" || $1 == "$generation:$TOPOLOGY" ]]; then
      return
    fi
    if [[ ${1%%[-:]*} == "$generation" ]]; then
      names+=" $SLICE"
    fi
  done <"$HERE/slices.tsv"
  fail $EXIT_USER "there is no slice '$1' in tpu_scripts/slices.tsv." \
    "${names:+Those of ${1%%[-:]*}:$names}${names:-Generations: v3 v4 v5e v5p v6e, as in v4-128.}"
}

exit_code_row() { # exit_code_row CODE: sets CODE_NAME, CODE_ACTION, CODE_MEANING.
  local code
  while IFS=$'\t' read -r code CODE_NAME CODE_ACTION CODE_MEANING; do
    if [[ $code == "$1" ]]; then
      return
    fi
  done <"$HERE/exit_codes.tsv"
  CODE_NAME=crash CODE_ACTION=crash
  CODE_MEANING="ended without saying why; the log has the traceback"
}

# --------------------------------------------------------------- the record of a booking
# $RECORDS/NAME/booking (what was booked), launch/ (what runs: commit, diff, env, command, archive)
# and restarts (times of restarts): lines of `key=value`, never sourced.

record_get() { # record_get FILE KEY
  local line
  while IFS= read -r line; do
    if [[ $line == "$2="* ]]; then
      echo "${line#*=}"
    fi
  done <"$1"
}

load_booking() { # load_booking NAME: sets NAME, SLICES, ZONE, ... and NODES from the record.
  check_name "$1"
  NAME=$1
  RECORD=$RECORDS/$NAME
  if [[ ! -f $RECORD/booking ]]; then
    fail $EXIT_USER "found no booking '$NAME' in $RECORDS." \
      "Book it, or take over one that exists: tpu_scripts/create.sh $NAME --slice ... --zone ..."
  fi
  find_slice "$(record_get "$RECORD/booking" slice)"
  SLICES=$(record_get "$RECORD/booking" slices)
  ZONE=$(record_get "$RECORD/booking" zone)
  PROJECT=$(record_get "$RECORD/booking" project)
  SSH_INTERNAL=$(record_get "$RECORD/booking" internal_ips)
  set_nodes
}

set_nodes() { # NODES: the slices' names, as create.sh asks for them.
  local i
  NODES=()
  if ((SLICES == 1)); then
    NODES=("$NAME")
  else
    for ((i = 0; i < SLICES; i++)); do
      NODES+=("$NAME-$i")
    done
  fi
}

sha256() {
  if command -v sha256sum >/dev/null; then
    sha256sum | cut -d ' ' -f 1
  else
    shasum -a 256 | cut -d ' ' -f 1
  fi
}

# --------------------------------------------------------------------------------- gcloud

tpu() { # tpu WORD...: sets COMMAND to gcloud's command with zone and project.
  COMMAND=(gcloud compute tpus "$@" "--zone=$ZONE")
  if [[ -n $PROJECT ]]; then
    COMMAND+=("--project=$PROJECT")
  fi
}

run() { # Runs a command, or prints it under --dry-run.
  if [[ -n $DRY_RUN ]]; then
    echo "+ $(quoted "$@")"
  else
    "$@"
  fi
}

need() { # need PROGRAM HINT
  if [[ -z $DRY_RUN ]] && ! command -v "$1" >/dev/null; then
    fail $EXIT_USER "found no '$1' on PATH. $2"
  fi
}
need_gcloud() { need gcloud "Install it: https://cloud.google.com/sdk/docs/install"; }

is_absent() { grep -qE 'NOT_FOUND|was not found|not found in' "$1"; }

queued_resource() {
  # Sets QR_STATE (ABSENT where there is none), QR_ACCELERATOR, QR_NODES, QR_ERROR.
  local fields='state.state,tpu.nodeSpec[0].node.acceleratorType,'
  fields+='tpu.nodeSpec[0].multisliceParams.nodeCount,state.failedData.error.message'
  tpu queued-resources describe "$NAME"
  COMMAND+=("--format=value[separator='|']($fields)")
  if [[ -n $DRY_RUN ]]; then
    run "${COMMAND[@]}"
    QR_STATE=${DRY_STATE:-ACTIVE} QR_ACCELERATOR=$ACCELERATOR QR_NODES='' QR_ERROR=''
    return
  fi
  local text
  if text=$("${COMMAND[@]}" 2>"$SCRATCH/describe.err"); then
    IFS='|' read -r QR_STATE QR_ACCELERATOR QR_NODES QR_ERROR <<<"$text"
  elif is_absent "$SCRATCH/describe.err"; then
    QR_STATE=ABSENT QR_ACCELERATOR='' QR_NODES='' QR_ERROR=''
  else
    cat "$SCRATCH/describe.err" >&2
    fail $EXIT_FAILED "could not ask for the state of '$NAME'; gcloud's message is above." \
      "Not signed in: gcloud auth login. Another project: $SCRIPT ... --project PROJECT"
  fi
}

node_state() { # node_state NODE: READY, PREEMPTED, ... or ABSENT; sets NODE_STATE, NODE_ADDRESS.
  tpu tpu-vm describe "$1"
  COMMAND+=("--format=value[separator='|'](state,networkEndpoints[0].ipAddress)")
  if [[ -n $DRY_RUN ]]; then
    run "${COMMAND[@]}"
    NODE_STATE=READY NODE_ADDRESS=ADDRESS_OF_WORKER_0
    return
  fi
  local text
  if text=$("${COMMAND[@]}" 2>"$SCRATCH/node.err"); then
    IFS='|' read -r NODE_STATE NODE_ADDRESS <<<"$text"
  elif is_absent "$SCRATCH/node.err"; then
    NODE_STATE=ABSENT NODE_ADDRESS=''
  else
    cat "$SCRATCH/node.err" >&2
    fail $EXIT_FAILED "could not ask for the state of '$1'; gcloud's message is above."
  fi
}

# ------------------------------------------------------------------------------ the workers
# worker.sh answers each step with one line, `@flan-jax STEP worker=W ok|failed KEY=VALUE...`. Who
# is expected but has no such line did not answer: gcloud's own exit status does not say who failed.

ssh_command() { # ssh_command NODE WORKER REMOTE_COMMAND: sets COMMAND.
  tpu tpu-vm ssh "$1"
  COMMAND+=("--worker=$2" "--command=$3")
  if [[ -n $SSH_INTERNAL ]]; then
    COMMAND+=(--internal-ip)
  fi
}

# A worker's own number, in the shell of the worker.
# shellcheck disable=SC2016
WORKER_NUMBER='${TPU_WORKER_ID:-$(curl -s -H Metadata-Flavor:Google'
WORKER_NUMBER+=' http://metadata.google.internal/computeMetadata/v1/instance/attributes'
WORKER_NUMBER+='/agent-worker-number)}'

on_workers() {
  # on_workers STEP REMOTE_COMMAND [NODE_INDEX WORKER]: on all workers of all slices at once, unless
  # one is named. SLICE_INDEX in the command becomes the number of the slice.
  local step=$1 remote=$2 only=${3:-} worker=${4:-all} i
  local -a children=()
  rm -f -- "$SCRATCH/$step".*
  for i in "${!NODES[@]}"; do
    if [[ -n $only && $only != "$i" ]]; then
      continue
    fi
    ssh_command "${NODES[i]}" "$worker" "${remote//SLICE_INDEX/$i}"
    if [[ -n $DRY_RUN ]]; then
      run "${COMMAND[@]}"
      continue
    fi
    "${COMMAND[@]}" </dev/null >"$SCRATCH/$step.$i.out" 2>"$SCRATCH/$step.$i.err" &
    children+=($!)
  done
  for i in "${children[@]}"; do
    wait "$i" || true # Who did not answer is found by the lines.
  done
}

field() { # field KEY LINE
  local word
  for word in $2; do
    if [[ $word == "$1="* ]]; then
      echo "${word#*=}"
      return
    fi
  done
}

answer() { # answer STEP NODE_INDEX WORKER: the worker's line, or nothing.
  grep -m 1 "^@flan-jax $1 worker=$3 " "$SCRATCH/$1.$2.out" 2>/dev/null || true
}

check_step() { # check_step STEP: all workers said ok, or the others are named and the script ends.
  local step=$1 i worker line wrong=0
  if [[ -n $DRY_RUN ]]; then
    return
  fi
  for i in "${!NODES[@]}"; do
    for ((worker = 0; worker < HOSTS; worker++)); do
      line=$(answer "$step" "$i" "$worker")
      if [[ -z $line ]]; then
        warn "${NODES[i]} worker $worker did not answer to '$step'."
        wrong=$((wrong + 1))
      elif [[ $line != "@flan-jax $step worker=$worker ok"* ]]; then
        warn "${NODES[i]} worker $worker, '$step': ${line#*failed }"
        wrong=$((wrong + 1))
      fi
    done
  done
  if ((wrong == 0)); then
    return
  fi
  for i in "${!NODES[@]}"; do
    if [[ -s $SCRATCH/$step.$i.err ]]; then
      warn "the last lines of gcloud for ${NODES[i]}:"
      tail -n 5 "$SCRATCH/$step.$i.err" >&2
    fi
  done
  fail $EXIT_FAILED "$wrong of $((SLICES * HOSTS)) workers failed in '$step', expected none." \
    "Try again (what is done is kept); a worker that never answers needs a new slice:" \
    "tpu_scripts/resume.sh $NAME --recreate"
}

worker_states() {
  # worker_states: sets STATES to lines `slice worker state code host process commit config`; a
  # worker that does not answer has the state `silent`.
  local i worker line
  STATES=()
  on_workers report "$(remote report)"
  if [[ -n $DRY_RUN ]]; then
    return
  fi
  for i in "${!NODES[@]}"; do
    for ((worker = 0; worker < HOSTS; worker++)); do
      line=$(answer report "$i" "$worker")
      if [[ -z $line ]]; then
        STATES+=("$i $worker silent - - - - -")
      else
        STATES+=("$i $worker $(field state "$line") $(field code "$line") $(field host "$line") \
$(field process "$line") $(field commit "$line") $(field config "$line")")
      fi
    done
  done
}

remote() { # remote STEP [ARGUMENT...]: the command that has worker.sh do a step of this run.
  # Without a launch there is no worker.sh; the worker then says so itself.
  local step=$1 script="flan_jax_runs/$NAME/current/src/tpu_scripts/worker.sh"
  shift
  echo "if [ -f $script ]; then bash $script $step $NAME $(quoted "$@");" \
    "else echo \"@flan-jax $step worker=$WORKER_NUMBER ok state=none\"; fi"
}

now() { date +%s; }
