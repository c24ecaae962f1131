#!/usr/bin/env bash
# Shows a booking, its machines, and what each of them runs.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/status.sh [NAME] [--dry-run]

Shows the state of the booking NAME, and of each machine: whether the command runs or how it ended,
its commit and configuration, and the last line of process 0. Without NAME: the bookings on record.

example: tpu_scripts/status.sh flan-xxl

Ends with 0 when all run or have finished, 1 otherwise.
TEXT
}

NAME=''
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      NAME=$1
      ;;
  esac
  shift
done
if [[ -z $NAME ]]; then
  for each in "$RECORDS"/*/booking; do
    [[ -f $each ]] || fail $EXIT_USER "found no booking in $RECORDS. See: create.sh --help"
    echo "$(basename -- "$(dirname -- "$each")")  $(record_get "$each" slices) x" \
      "$(record_get "$each" slice) in $(record_get "$each" zone), $(record_get "$each" tier)"
  done
  exit 0
fi
load_booking "$NAME"
need_gcloud

queued_resource
echo "$NAME: $QR_STATE, $SLICES x $SLICE ($((SLICES * CHIPS)) chips, $((SLICES * HOSTS)) hosts)" \
  "in $ZONE, $(record_get "$RECORD/booking" tier)${QR_ERROR:+: $QR_ERROR}"
if [[ $QR_STATE != ACTIVE ]]; then
  case $QR_STATE in
    ABSENT | FAILED | SUSPENDED) echo "Book it anew and go on: tpu_scripts/resume.sh $NAME" ;;
  esac
  exit 1
fi
for node in "${NODES[@]}"; do
  node_state "$node"
  [[ $NODE_STATE == READY ]] || echo "$node: $NODE_STATE"
done

worker_states
[[ -z $DRY_RUN ]] || exit 0
well=0
printf '%-6s %-7s %-9s %-22s %-32s %-8s %-14s %s\n' \
  slice worker state exit host process commit configuration
for each in "${STATES[@]}"; do
  read -r i worker state code host process commit config <<<"$each"
  shown=$code
  case $state in
    running) well=$((well + 1)) ;;
    exited)
      exit_code_row "$code"
      shown="$code $CODE_NAME"
      [[ $code != 0 ]] || well=$((well + 1))
      ;;
  esac
  printf '%-6s %-7s %-9s %-22s %-32s %-8s %-14s %s\n' "$i" "$worker" "$state" "$shown" "$host" \
    "${process:--}" "${commit:0:12}" "${config:--}"
done
on_workers log "$(remote log 1)" 0 0
echo "process 0: $(grep -v '^@flan-jax' "$SCRATCH/log.0.out" | tail -n 1)"
echo "$well of $((SLICES * HOSTS)) run or have finished."
((well == SLICES * HOSTS))
