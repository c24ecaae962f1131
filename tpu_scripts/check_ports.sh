#!/usr/bin/env bash
# Tries from every machine whether it reaches the port on which they find each other.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/check_ports.sh NAME [--port PORT]... [--network NETWORK] [--dry-run]

Listens on each PORT on worker 0 of the first slice, where JAX's coordinator will be, and connects
from every machine. Without this a closed port shows as a hang of minutes at the start of a run.
Needs a launch on NAME before (it copies what is run here); launch.sh calls it by itself.

  --port PORT       repeatable; default 8476, and 8080 (between slices) where there are several
  --network NETWORK named in the fix (default: default)

example: tpu_scripts/check_ports.sh flan-xxl --port 8482
TEXT
}

NAME='' ports=() network=default
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --port) ports+=("$(value_of "$@")"); check_number --port "${ports[-1]}" 1; shift ;;
    --network) network=$(value_of "$@"); shift ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      NAME=$1
      ;;
  esac
  shift
done
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one first. See: $SCRIPT --help"
load_booking "$NAME"
need_gcloud
if ((${#ports[@]} == 0)); then
  ports=(8476)
  ((SLICES == 1)) || ports+=(8080)
fi

node_state "${NODES[0]}"
[[ -n $NODE_ADDRESS ]] || fail $EXIT_FAILED "'${NODES[0]}' is $NODE_STATE and has no address," \
  "expected READY. See: tpu_scripts/status.sh $NAME"
for port in "${ports[@]}"; do
  on_workers listen "$(remote listen "$port" 120)" 0 0
  line=$(answer listen 0 0)
  [[ -n $DRY_RUN || $line == *" ok port="* ]] || fail $EXIT_FAILED \
    "could not listen on port $port of ${NODES[0]} worker 0: ${line:-no answer}." \
    "Nothing launched there yet? tpu_scripts/launch.sh copies what this needs."
  on_workers probe "$(remote probe "$NODE_ADDRESS" "$port")"
  on_workers unlisten "$(remote unlisten)" 0 0
  closed=() silent=()
  for i in "${!NODES[@]}"; do
    for ((worker = 0; worker < HOSTS; worker++)); do
      case $(answer probe "$i" "$worker") in
        *" ok "*) ;;
        *" failed "*) closed+=("${NODES[i]} worker $worker") ;;
        *) silent+=("${NODES[i]} worker $worker") ;;
      esac
    done
  done
  [[ -z $DRY_RUN ]] || continue
  for each in "${silent[@]}"; do
    warn "$each did not answer."
  done
  for each in "${closed[@]}"; do
    warn "$each does not reach $NODE_ADDRESS:$port."
  done
  if ((${#closed[@]})); then
    fail $EXIT_FAILED "found port $port closed from ${#closed[@]} of $((SLICES * HOSTS))" \
      "machines, expected it open from all. Open it: gcloud compute firewall-rules create" \
      "flan-jax-$port --network=$network --allow=tcp:$port --source-ranges=10.0.0.0/8 (the range" \
      "of your subnet); or launch with a port that is open: --coordinator-port 8476"
  fi
  ((${#silent[@]} == 0)) || fail $EXIT_FAILED "${#silent[@]} machines did not answer, expected" \
    "none. See: tpu_scripts/status.sh $NAME"
  say "port $port of ${NODES[0]} worker 0 is reached from all $((SLICES * HOSTS)) machines."
done
