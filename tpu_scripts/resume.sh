#!/usr/bin/env bash
# Looks how a run ended and does what that asks for: book and launch again, or stop and say why.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/resume.sh NAME [options] [-- COMMAND...]

After a preemption: deletes what is left of NAME, books the same again, waits, and launches the
same commit, environment and command, which goes on from its last checkpoint. After a run that was
told to stop and saved: launches it again on the same machines. After a mistake of configuration or
data, a NaN, memory used up or a crash it launches nothing and says what it was: the same would
happen again. What each exit code asks for is in tpu_scripts/exit_codes.tsv.

COMMAND, if given, has to be the one that was launched; another one is refused.

  --watch            stay, look every --poll seconds, and resume until the run has finished
  --recreate         book anew, even if the machines look well
  --retry-crashes    launch again after an exit code that says nothing, too
  --max-restarts N   within an hour (default 6), then stop. From the second on it waits before each:
                     30 s, then twice as long each time, 30 minutes at most
  --poll SECONDS     default 60
  --wait SECONDS     for the slices (default 86400)
  --dry-run          print the commands only, as after a preemption

example: tpu_scripts/resume.sh flan-xxl --watch

Ends with 0 (runs again, runs still, or has finished) or 1 (stopped; the reason is printed).
TEXT
}

NAME='' watch='' force='' crashes='' most=6 poll_s=60 wait_s=86400 command=() options=()
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1; options=(--dry-run) ;;
    --watch) watch=1 ;;
    --recreate) force=1 ;;
    --retry-crashes) crashes=1 ;;
    --max-restarts) most=$(value_of "$@"); shift ;;
    --poll) poll_s=$(value_of "$@"); shift ;;
    --wait) wait_s=$(value_of "$@"); shift ;;
    --) shift; command=("$@"); break ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      NAME=$1
      ;;
  esac
  shift
done
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one first. See: $SCRIPT --help"
check_number --max-restarts "$most" 1
check_number --poll "$poll_s" 1
check_number --wait "$wait_s" 1
load_booking "$NAME"
need_gcloud

# --------------------------------------------------------------- the same configuration

[[ -f $RECORD/launch/config ]] || fail $EXIT_USER "nothing was launched on '$NAME' yet, so" \
  "nothing can go on. Launch it: tpu_scripts/launch.sh $NAME -- flan-jax train --multihost ..."
id=$(<"$RECORD/launch/config_hash")
launched=$(record_get "$RECORD/launch/config" command)
if [[ $(sha256 <"$RECORD/launch/config" | cut -c 1-16) != "$id" ]]; then
  fail $EXIT_USER "$RECORD/launch/config was changed after the launch (its hash is not $id)." \
    "Launch the new one: tpu_scripts/launch.sh $NAME --replace -- $launched"
fi
if ((${#command[@]})) && [[ $(quoted "${command[@]}") != "$launched" ]]; then
  warn "found:    $(quoted "${command[@]}")"
  warn "expected: $launched"
  fail $EXIT_USER "a run goes on with the command it was launched with. Leave the command out, or" \
    "launch the new one: tpu_scripts/launch.sh $NAME --replace -- ..."
fi

# ------------------------------------------------------------------- what has happened

judge() { # Sets ACTION (finished, running, relaunch, recreate, wait, silent, stop) and WHY.
  local node each i worker state code config action rank=0 running=0 finished=0
  queued_resource
  case $QR_STATE in
    ACTIVE) ;;
    FAILED | SUSPENDING | SUSPENDED | ABSENT)
      ACTION=recreate WHY="'$NAME' is $QR_STATE${QR_ERROR:+: $QR_ERROR}"
      return
      ;;
    *)
      ACTION=wait WHY="'$NAME' is $QR_STATE"
      return
      ;;
  esac
  for node in "${NODES[@]}"; do
    node_state "$node"
    if [[ $NODE_STATE != READY ]]; then
      ACTION=recreate WHY="'$node' is $NODE_STATE"
      return
    fi
  done
  worker_states
  ACTION=finished WHY="all commands ended well"
  # The most serious of what the machines say decides.
  for each in "${STATES[@]}"; do
    read -r i worker state code _ _ _ config <<<"$each"
    action='' node="${NODES[i]} worker $worker"
    case $state in
      silent) action=silent why="$node does not answer" ;;
      none | vanished) action=relaunch why="$node runs nothing ($state)" ;;
      running | starting) running=$((running + 1)) ;;
      exited)
        exit_code_row "$code"
        action=$CODE_ACTION why="$node ended with $code ($CODE_NAME: $CODE_MEANING)"
        ;;
    esac
    if [[ $state != none && -n $config && $config != - && $config != "$id" ]]; then
      action=stop why="$node has configuration $config, expected $id: something else was launched"
    fi
    case $action in
      done) finished=$((finished + 1)) ;;
      crash) raise 1 crash "$why" ;;
      relaunch) raise 2 relaunch "$why" ;;
      silent) raise 3 silent "$why" ;;
      stop) raise 4 stop "$why" ;;
    esac
  done
  if ((rank == 0 && running > 0)); then
    ACTION=running WHY="$running of $((SLICES * HOSTS)) machines run it, $finished have finished"
  elif [[ $ACTION == crash ]]; then
    ACTION=stop
    [[ -z $crashes ]] || ACTION=relaunch
  fi
}
raise() { # raise RANK ACTION WHY: keeps the first of the highest rank.
  if (($1 > rank)); then
    rank=$1 ACTION=$2 WHY=$3
  fi
}

back_off() { # Waits before a restart when there were others within the hour; ends a storm of them.
  local time recent=() delay=0
  if [[ -f $RECORD/restarts ]]; then
    while IFS= read -r time; do
      (($(now) - time >= 3600)) || recent+=("$time")
    done <"$RECORD/restarts"
  fi
  if ((${#recent[@]} >= most)); then
    fail $EXIT_FAILED "found ${#recent[@]} restarts within the hour, expected fewer than $most:" \
      "it does not get on. Last reason: $WHY. See tpu_scripts/logs.sh $NAME; then wait, or allow" \
      "more: --max-restarts $((most * 2))"
  fi
  if ((${#recent[@]})); then
    delay=$((30 * 2 ** (${#recent[@]} - 1)))
    ((delay <= 1800)) || delay=1800
    say "restart $((${#recent[@]} + 1)) within the hour: waiting $delay s first."
    sleep "$delay"
  fi
  printf '%s\n' "${recent[@]}" "$(now)" | grep . >"$RECORD/restarts"
}

# ------------------------------------------------------------------- what to do about it

launch() { # Launches what is on record; with machines that still run it, they save and end first.
  local code=0
  "$HERE/launch.sh" "$NAME" --from-record --replace "${options[@]}" || code=$?
  ((code == 0)) ||
    fail $EXIT_FAILED "the launch failed; the reason is above. Try again: $SCRIPT $NAME"
}

book() { # Returns 1 when the slices were taken away again before they were there.
  local code=0
  "$HERE/create.sh" "$NAME" --from-record --wait "$wait_s" "${options[@]}" || code=$?
  if ((code == EXIT_PREEMPTED)); then
    return 1
  fi
  ((code == 0)) || fail $EXIT_FAILED "'$NAME' could not be booked; the reason is above."
}

quiet_rounds=0
while :; do
  judge
  if [[ -n $force || -n $DRY_RUN ]]; then
    ACTION=recreate WHY="asked for"
    force=
  fi
  if [[ $ACTION == silent ]]; then
    quiet_rounds=$((quiet_rounds + 1))
    # Five looks without an answer: the machine is gone, though its state does not say so.
    if [[ -n $watch ]] && ((quiet_rounds >= 5)); then
      ACTION=recreate
    fi
  else
    quiet_rounds=0
  fi
  case $ACTION in
    finished)
      say "'$NAME' has finished. Delete it: tpu_scripts/delete.sh $NAME"
      exit 0
      ;;
    stop)
      fail $EXIT_FAILED "not resumed: $WHY. See tpu_scripts/logs.sh $NAME; with that mended:" \
        "tpu_scripts/launch.sh $NAME -- COMMAND; on a crash that a restart helps: --retry-crashes"
      ;;
    running)
      if [[ -z $watch ]]; then
        say "nothing to do: $WHY."
        exit 0
      fi
      ;;
    silent)
      [[ -n $watch ]] ||
        fail $EXIT_FAILED "$WHY. Try again; if it stays silent: $SCRIPT $NAME --recreate"
      warn "$WHY."
      ;;
    relaunch)
      say "launching again: $WHY."
      back_off
      launch
      [[ -n $watch ]] || exit 0
      ;;
    wait | recreate)
      say "booking again: $WHY."
      if [[ $ACTION == recreate ]]; then
        [[ -n $DRY_RUN ]] || back_off
        "$HERE/delete.sh" "$NAME" --yes --keep-booking "${options[@]}" ||
          fail $EXIT_FAILED "what is left of '$NAME' could not be deleted; the reason is above."
      fi
      if book; then
        launch
        [[ -n $watch && -z $DRY_RUN ]] || exit 0
      fi
      ;;
  esac
  if [[ $ACTION == running || $ACTION == silent ]]; then
    sleep "$poll_s"
  fi
done
