#!/usr/bin/env bash
# Starts one command on all machines of a booking: same commit, environment and command everywhere.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/launch.sh NAME [options] -- COMMAND...

Packs this checkout's commit, copies it to every machine of NAME, installs what it needs (versions
of constraints.txt) into an environment there, starts COMMAND under a supervisor that outlives ssh,
and waits until every machine reports that it runs. Those that do not are named. Run again while the
same configuration runs, it changes nothing and only looks.

  --env NAME=VALUE         environment of the command; repeatable. Not for secrets: it is recorded
  --allow-dirty            send uncommitted changes too; their diff is recorded, its hash counts
  --replace                stop what runs on the machines first (it saves and ends)
  --coordinator-port PORT  on which process 0 is found by the others (default 8476)
  --no-port-check          do not try whether all machines reach that port
  --wait SECONDS           for all machines to report (default 600)
  --poll SECONDS           between looks (default 10)
  --dry-run                print the commands only

example: tpu_scripts/launch.sh flan-xxl -- flan-jax train --multihost \
           --gin_file=runs/flan_t5_xxl.gin --gin_file=topologies/v4-128.gin \
           --gin.MODEL_DIR='"gs://bucket/flan_t5_xxl"'

Ends with 0 (all run or have finished), 1 (some do not), 2 (command line, dirty checkout).
TEXT
}

NAME='' env=() dirty='' replace='' port=8476 port_check=1 wait_s=600 poll_s=10 recorded=''
command=()
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --allow-dirty) dirty=1 ;;
    --replace) replace=1 ;;
    --no-port-check) port_check='' ;;
    --from-record) recorded=1 ;; # What was launched before, as resume.sh wants it.
    --env) env+=("$(value_of "$@")"); shift ;;
    --coordinator-port) port=$(value_of "$@"); shift ;;
    --wait) wait_s=$(value_of "$@"); shift ;;
    --poll) poll_s=$(value_of "$@"); shift ;;
    --) shift; command=("$@"); break ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many; the command stands behind" \
        "'--'. See: $SCRIPT --help"
      NAME=$1
      ;;
  esac
  shift
done
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one first. See: $SCRIPT --help"
check_number --wait "$wait_s" 1
check_number --poll "$poll_s" 1
check_number --coordinator-port "$port" 1024
load_booking "$NAME"
need_gcloud
total=$((SLICES * HOSTS))

# ---------------------------------------------------------------------- the configuration

check_command() {
  local word before='' file
  ((${#command[@]})) || fail $EXIT_USER "found no command, expected one behind '--', as in:" \
    "$SCRIPT $NAME -- flan-jax train --multihost --gin_file=..."
  check_env "Secret Manager, or a --service-account of the machines (create.sh)" "${env[@]}"
  if [[ " ${command[*]} " == *"flan-jax train "* && " ${command[*]} " != *" --multihost "* ]] &&
    ((total > 1)); then
    fail $EXIT_USER "the command has no --multihost, but '$NAME' has $total hosts: each would" \
      "train alone. Write: flan-jax train --multihost ..."
  fi
  for word in "${command[@]}"; do
    file=
    case $word in
      --gin_file=*) file=${word#*=} ;;
      *) [[ $before != --gin_file ]] || file=$word ;;
    esac
    before=$word
    if [[ $file =~ topologies/([a-z0-9-]+)\.gin$ && ${BASH_REMATCH[1]} != "$SLICE" ]] &&
      grep -q "^${BASH_REMATCH[1]}"$'\t' "$HERE/slices.tsv"; then
      fail $EXIT_USER "found --gin_file=$file, but '$NAME' is a $SLICE." \
        "Write: --gin_file=topologies/$SLICE.gin"
    fi
  done
}

write_launch() { # Fills $SCRATCH/launch: config, config_hash, commit, command.sh, diff.
  local launch=$SCRATCH/launch commit changes='' each
  mkdir -p -- "$launch"
  commit=$(git -C "$REPO" rev-parse HEAD 2>/dev/null) || fail $EXIT_USER \
    "$REPO is no git checkout; what is sent is a commit. Run it from a clone of flan-jax."
  if [[ -n $(git -C "$REPO" status --porcelain) ]]; then
    if [[ -z $dirty ]]; then
      git -C "$REPO" status --short | head -n 10 >&2
      fail $EXIT_USER "found uncommitted changes (above), expected none: a run is told by its" \
        "commit. Commit them, or send them all the same: --allow-dirty"
    fi
    {
      git -C "$REPO" diff --binary HEAD
      # Files that git does not know yet, in full.
      git -C "$REPO" ls-files -z --others --exclude-standard | sort -z |
        (cd -- "$REPO" && xargs -0 -r -n 1 git diff --no-index --binary -- /dev/null || true)
    } >"$launch/diff"
    changes=$(sha256 <"$launch/diff")
    commit+=-dirty
  fi
  echo "$commit" >"$launch/commit"
  {
    echo "commit=$commit"
    echo "diff=$changes"
    echo "coordinator_port=$port"
    for each in "${env[@]}"; do
      echo "env=$(quoted "$each")"
    done
    echo "command=$(quoted "${command[@]}")"
  } >"$launch/config"
  sha256 <"$launch/config" | cut -c 1-16 >"$launch/config_hash"
  {
    echo '#!/usr/bin/env bash'
    # Port 8482, which JAX takes by default, is not among those that Cloud TPU opens between
    # machines (jax-ml/jax#35905).
    echo "export JAX_COORDINATOR_PORT=$port PYTHONUNBUFFERED=1"
    for each in "${env[@]}"; do
      echo "export $(quoted "$each")"
    done
    echo "exec $(quoted "${command[@]}")"
  } >"$launch/command.sh"
}

pack() { # Makes $SCRATCH/launch/archive.tar.gz of src/ and launch/.
  local stage=$SCRATCH/stage
  mkdir -p -- "$stage/src" "$stage/launch"
  if [[ -n $dirty ]]; then
    git -C "$REPO" ls-files -z --cached --others --exclude-standard |
      (cd -- "$REPO" && while IFS= read -r -d '' file; do
        [[ ! -e $file && ! -L $file ]] || printf '%s\0' "$file"
      done | tar --null -T - -cf -) | tar -xf - -C "$stage/src"
  else
    git -C "$REPO" archive --format=tar HEAD | tar -xf - -C "$stage/src"
  fi
  cp -- "$SCRATCH/launch/commit" "$SCRATCH/launch/config_hash" "$SCRATCH/launch/command.sh" \
    "$stage/launch/"
  # macOS would add a file of attributes beside each.
  COPYFILE_DISABLE=1 tar -czf "$SCRATCH/launch/archive.tar.gz" -C "$stage" src launch
  sha256 <"$SCRATCH/launch/archive.tar.gz" >"$SCRATCH/launch/archive_hash"
}

if [[ -n $recorded ]]; then
  [[ -f $RECORD/launch/archive.tar.gz ]] || fail $EXIT_USER "nothing was launched on '$NAME' yet."
  cp -R -- "$RECORD/launch" "$SCRATCH/launch"
  [[ $(sha256 <"$SCRATCH/launch/archive.tar.gz") == "$(<"$SCRATCH/launch/archive_hash")" ]] ||
    fail $EXIT_FAILED "$RECORD/launch/archive.tar.gz is not what was launched. Launch anew:" \
      "tpu_scripts/launch.sh $NAME -- $(record_get "$RECORD/launch/config" command)"
  port=$(record_get "$SCRATCH/launch/config" coordinator_port)
else
  check_command
  write_launch
  pack
fi
commit=$(<"$SCRATCH/launch/commit")
id=$(<"$SCRATCH/launch/config_hash")

# ---------------------------------------------------------------- the machines are there

queued_resource
if [[ $QR_STATE != ACTIVE ]]; then
  fail $EXIT_FAILED "'$NAME' is $QR_STATE, expected ACTIVE. Wait for it with the create.sh" \
    "command that booked it; after a preemption: tpu_scripts/resume.sh $NAME"
fi
for node in "${NODES[@]}"; do
  node_state "$node"
  [[ $NODE_STATE == READY ]] || fail $EXIT_FAILED "'$node' is $NODE_STATE, expected READY." \
    "Book it anew: tpu_scripts/resume.sh $NAME"
done

# ------------------------------------------------------------- copy, install, check, start

say "sending commit ${commit:0:12}, configuration $id to $total machines."
if [[ -n $replace ]]; then
  on_workers stop "$(remote stop)"
  check_step stop
fi
copies=()
for i in "${!NODES[@]}"; do
  tpu tpu-vm scp "$SCRATCH/launch/archive.tar.gz" "${NODES[i]}:flan_jax_$id.tar.gz" --worker=all
  [[ -z $SSH_INTERNAL ]] || COMMAND+=(--internal-ip)
  if [[ -n $DRY_RUN ]]; then
    run "${COMMAND[@]}"
  else
    # Who lacks the archive says so in the next step, or does not answer.
    "${COMMAND[@]}" </dev/null >"$SCRATCH/copy.$i.out" 2>&1 &
    copies+=($!)
  fi
done
for i in "${!copies[@]}"; do
  wait "${copies[i]}" && continue
  warn "not all machines of ${NODES[i]} got the code; the last lines of gcloud:"
  tail -n 5 "$SCRATCH/copy.$i.out" >&2
  if grep -q 'ssh-add' "$SCRATCH/copy.$i.out"; then
    fail $EXIT_USER "found no key for the machines in the ssh agent, expected one: gcloud copies" \
      "to several machines only through it. Add it, and launch again:" \
      "eval \"\$(ssh-agent)\"; ssh-add ~/.ssh/google_compute_engine"
  fi
done

folder=flan_jax_runs/$NAME
# The archive stays packed until it is whole, so a broken copy never looks like a finished one.
broken="@flan-jax adopt worker=$WORKER_NUMBER failed the copy of the code is missing or broken"
on_workers adopt "if [ ! -f $folder/$id/unpacked ]; then rm -rf $folder/$id; mkdir -p $folder/$id;\
 if tar -xzf flan_jax_$id.tar.gz -C $folder/$id; then touch $folder/$id/unpacked;\
 else echo \"$broken\"; exit 1; fi; fi; bash $folder/$id/src/tpu_scripts/worker.sh adopt $NAME $id"
check_step adopt
if [[ -z $DRY_RUN && -z $recorded ]]; then
  rm -rf -- "$RECORD/launch"
  cp -R -- "$SCRATCH/launch" "$RECORD/launch"
fi
say "installing."
on_workers install "$(remote install)"
check_step install
if [[ -n $port_check ]] && ((total > 1)); then
  "$HERE/check_ports.sh" "$NAME" --port "$port" ${DRY_RUN:+--dry-run}
fi
on_workers start "$(remote start SLICE_INDEX "$HOSTS")"
check_step start

# -------------------------------------------------------------------- all of them report

show_log() { # show_log SLICE WORKER
  warn "the last lines of ${NODES[$1]} worker $2:"
  on_workers log "$(remote log 15)" "$1" "$2"
  cat "$SCRATCH/log.$1.out" >&2
}

begun=$(now)
while :; do
  worker_states
  [[ -z $DRY_RUN ]] || exit 0
  missing=() ended=() finished=0
  for each in "${STATES[@]}"; do
    read -r i worker state code host _ _ config <<<"$each"
    case $state in
      running)
        [[ $config == "$id" ]] || fail $EXIT_FAILED "${NODES[i]} worker $worker runs" \
          "configuration $config, expected $id. Stop it and launch: $SCRIPT $NAME --replace -- ..."
        ;;
      exited) if [[ $code == 0 ]]; then finished=$((finished + 1)); else ended+=("$each"); fi ;;
      *) missing+=("${NODES[i]} worker $worker ($state)") ;;
    esac
  done
  if ((${#ended[@]})); then
    read -r i worker _ code host _ <<<"${ended[0]}"
    exit_code_row "$code"
    show_log "$i" "$worker"
    fail $EXIT_FAILED "${#ended[@]} of $total commands have ended; the first, on ${NODES[i]}" \
      "worker $worker ($host), with $code ($CODE_NAME: $CODE_MEANING). Its log is above; whole:" \
      "tpu_scripts/logs.sh $NAME --slice $i --worker $worker --lines 1000"
  fi
  if ((${#missing[@]} == 0)); then
    break
  fi
  if (($(now) - begun >= wait_s)); then
    for each in "${missing[@]}"; do
      warn "missing: $each"
    done
    fail $EXIT_FAILED "$((total - ${#missing[@]})) of $total machines report after $wait_s s," \
      "expected all. The others wait for them. Look: tpu_scripts/status.sh $NAME; start the" \
      "missing: the same command again; machines that stay silent need a new slice:" \
      "tpu_scripts/resume.sh $NAME --recreate"
  fi
  sleep "$poll_s"
done
say "$total of $total machines report commit ${commit:0:12}, configuration $id" \
  "($((total - finished)) run, $finished have finished)."
say "look: tpu_scripts/status.sh $NAME; tpu_scripts/logs.sh $NAME --follow"
