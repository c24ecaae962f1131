#!/usr/bin/env bash
# Deletes a booking, its machines, and nothing else.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/delete.sh NAME [--yes] [options]

Deletes the queued resource NAME and its machines, and looks whether they are gone: what is left
costs money. What lies on the machines (logs) is lost; MODEL_DIR in a bucket is not touched.
Run again, it deletes what is left, or says that nothing is.

  --yes            do not ask
  --keep-booking   keep the record, so that resume.sh can book the same again
  --wait SECONDS   for the machines to be gone (default 600)
  --poll SECONDS   between looks (default 15)
  --dry-run        print the commands only

example: tpu_scripts/delete.sh flan-xxl --yes
TEXT
}

NAME='' yes='' keep='' wait_s=600 poll_s=15
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --yes) yes=1 ;;
    --keep-booking) keep=1 ;;
    --wait) wait_s=$(value_of "$@"); shift ;;
    --poll) poll_s=$(value_of "$@"); shift ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      NAME=$1
      ;;
  esac
  shift
done
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one first. See: $SCRIPT --help"
check_number --wait "$wait_s" 0
check_number --poll "$poll_s" 1
load_booking "$NAME"
need_gcloud

if [[ -z $yes && -z $DRY_RUN ]]; then
  [[ -t 0 ]] || fail $EXIT_USER "found no terminal to ask on. Add --yes to delete '$NAME'."
  read -r -p "Delete '$NAME' ($SLICES x $SLICE in $ZONE) and all on its machines? [y/N] " reply
  [[ $reply == [yY]* ]] || fail $EXIT_USER "nothing was deleted."
fi

# ------------------------------------------------------------------- the queued resource

refused=
delete_queued_resource() {
  # --force takes the machines with it; without, a queued resource with machines is refused.
  tpu queued-resources delete "$NAME"
  refused=
  if ! run "${COMMAND[@]}" --force --quiet 2>"$SCRATCH/delete.err" &&
    ! is_absent "$SCRATCH/delete.err"; then
    cat "$SCRATCH/delete.err" >&2
    refused=1
  fi
}

queued_resource
if [[ $QR_STATE == ABSENT ]]; then
  say "there is no queued resource '$NAME'."
elif [[ $QR_STATE != DELETING ]]; then
  delete_queued_resource
fi

# ----------------------------------------------------------------- machines that are left

begun=$(now)
tried=
while :; do
  left=()
  for node in "${NODES[@]}"; do
    node_state "$node"
    [[ $NODE_STATE == ABSENT || -n $DRY_RUN ]] || left+=("$node")
  done
  queued_resource
  if [[ -n $DRY_RUN ]] || { [[ $QR_STATE == ABSENT ]] && ((${#left[@]} == 0)); }; then
    break
  fi
  if (($(now) - begun >= wait_s)) || [[ -n $refused && -n $tried ]]; then
    warn "still there: queued resource ${QR_STATE}${left[*]:+, machines ${left[*]}}."
    fail $EXIT_FAILED "'$NAME' is not wholly deleted and still costs money. Run the same command" \
      "again; if that does not help, delete it by hand:" \
      "https://console.cloud.google.com/compute/tpus"
  fi
  if [[ -z $tried ]] && [[ -n $refused || $QR_STATE == ABSENT ]]; then
    # The request went and left machines behind, or would not go: one by one, then.
    tried=1
    for node in "${left[@]}"; do
      say "deleting '$node', which is left."
      tpu tpu-vm delete "$node"
      "${COMMAND[@]}" --quiet || warn "'$node' could not be deleted."
    done
    if [[ $QR_STATE != ABSENT ]]; then
      delete_queued_resource
    fi
    continue
  fi
  sleep "$poll_s"
done
if [[ -z $keep && -z $DRY_RUN ]]; then
  # What was launched (commit, diff, command) stays beside it, for the record.
  rm -f -- "$RECORD/booking" "$RECORD/restarts"
fi
say "'$NAME' is gone."
