#!/usr/bin/env bash
# Shows what a command wrote on one machine, or on all.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/logs.sh NAME [options]

Shows the end of the log of process 0, which says what the run does.

  --slice S, --worker W  another machine; --worker all for all of all slices
  --lines N              default 50
  --follow               go on showing what is written (one machine only); end with Ctrl-C
  --dry-run              print the commands only

example: tpu_scripts/logs.sh flan-xxl --worker 3 --lines 200
TEXT
}

NAME='' slice=0 worker=0 lines=50 follow=''
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --follow) follow=follow ;;
    --slice) slice=$(value_of "$@"); shift ;;
    --worker) worker=$(value_of "$@"); shift ;;
    --lines) lines=$(value_of "$@"); shift ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      NAME=$1
      ;;
  esac
  shift
done
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one first. See: $SCRIPT --help"
check_number --lines "$lines" 1
load_booking "$NAME"
need_gcloud
if [[ $worker != all ]]; then
  check_number --slice "$slice" 0
  check_number --worker "$worker" 0
  ((slice < SLICES && worker < HOSTS)) || fail $EXIT_USER "there is no slice $slice worker" \
    "$worker: '$NAME' has slices 0 to $((SLICES - 1)) with workers 0 to $((HOSTS - 1)) each."
fi

if [[ -n $follow ]]; then
  [[ $worker != all ]] || fail $EXIT_USER "--follow shows one machine; name it with --worker."
  ssh_command "${NODES[slice]}" "$worker" "$(remote log "$lines" follow)"
  run "${COMMAND[@]}"
  exit
fi
if [[ $worker == all ]]; then
  on_workers log "$(remote log "$lines")"
else
  on_workers log "$(remote log "$lines")" "$slice" "$worker"
fi
code=0
for i in "${!NODES[@]}"; do
  [[ -f $SCRATCH/log.$i.out ]] || continue
  [[ $worker != all ]] || echo "== ${NODES[i]}"
  if [[ ! -s $SCRATCH/log.$i.out ]]; then
    cat "$SCRATCH/log.$i.err" >&2
    warn "${NODES[i]} worker $worker did not answer. See: tpu_scripts/status.sh $NAME"
    code=$EXIT_FAILED
  elif grep -qE '^@flan-jax log .*(failed|state=none)' "$SCRATCH/log.$i.out"; then
    warn "${NODES[i]} worker $worker has no log: nothing was launched there."
    code=$EXIT_FAILED
  else
    cat "$SCRATCH/log.$i.out"
  fi
done
exit "$code"
