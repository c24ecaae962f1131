#!/usr/bin/env bash
# Runs a command on TPU slices of a GKE cluster, as a JobSet.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/gke.sh render|apply NAME --slice SLICE --image IMAGE [options] -- COMMAND...
       tpu_scripts/gke.sh status|logs|delete NAME [options]

render  prints the manifest (tpu_scripts/jobset.yaml, filled in)
apply   applies it. The same again changes nothing; another configuration under NAME is refused
status  the JobSet and its pods; ends with 0 while it runs or when it has completed
logs    of one pod: --slice-index S (default 0) --worker W (default 0) [--lines N] [--follow]
delete  the JobSet and its pods; node pools stay

  --slices N          this many slices, each in a node pool of its own (default 1)
  --spot              on spot nodes
  --max-restarts N    of the whole set (default 20)
  --env NAME=VALUE    repeatable. Not for secrets
  --namespace N, --context C   kubectl's
  --dry-run           print the kubectl commands only

The cluster needs JobSet, and a node pool of the slice's machine type and shape for each slice;
apply names both. The image: docker build -f tpu_scripts/Dockerfile -t IMAGE .

example: tpu_scripts/gke.sh apply flan-xl --slice v5e-64 \
           --image us-docker.pkg.dev/project/repository/flan-jax:abc -- \
           flan-jax train --multihost --gin_file=runs/flan_t5_xl.gin
TEXT
}

verb='' NAME='' slice='' slices=1 image='' spot='' most=20 env=() command=() kubectl=(kubectl)
index=0 worker=0 lines=50 follow=()
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --spot) spot=1 ;;
    --follow) follow=(--follow) ;;
    --slice) slice=$(value_of "$@"); shift ;;
    --slices) slices=$(value_of "$@"); shift ;;
    --image) image=$(value_of "$@"); shift ;;
    --max-restarts) most=$(value_of "$@"); shift ;;
    --env) env+=("$(value_of "$@")"); shift ;;
    --slice-index) index=$(value_of "$@"); shift ;;
    --worker) worker=$(value_of "$@"); shift ;;
    --lines) lines=$(value_of "$@"); shift ;;
    --namespace | --context) kubectl+=("$1=$(value_of "$@")"); shift ;;
    --) shift; command=("$@"); break ;;
    -*) unknown_option "$1" ;;
    *)
      if [[ -z $verb ]]; then
        verb=$1
      elif [[ -z $NAME ]]; then
        NAME=$1
      else
        fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      fi
      ;;
  esac
  shift
done
case $verb in
  render | apply | status | logs | delete) ;;
  *) fail $EXIT_USER "found '${verb}', expected render, apply, status, logs or delete. See:" \
    "$SCRIPT --help" ;;
esac
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one behind '$verb'. See: $SCRIPT --help"
check_name "$NAME"
for each in "--slices=$slices" "--max-restarts=$most" "--lines=$lines"; do
  check_number "${each%%=*}" "${each#*=}" 1
done
check_number --slice-index "$index" 0
check_number --worker "$worker" 0
[[ $verb == render ]] || need kubectl "Install it: gcloud components install kubectl"

# ----------------------------------------------------------------------------- manifest

yaml_string() { # A double-quoted YAML (and JSON) string.
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  echo "\"${text//$'\t'/\\t}\""
}

configuration() { # What has to be the same for two applications to be the same run.
  {
    echo "$SLICE $slices $image"
    quoted "${env[@]}" --
    quoted "${command[@]}"
  } | sha256 | cut -c 1-16
}

render() {
  local text each words='' variables='' codes='' code action on_spot=''
  for each in "${command[@]}"; do
    words+="${words:+, }$(yaml_string "$each")"
  done
  for each in "${env[@]}"; do
    variables+=$'\n'"                    - name: ${each%%=*}"
    variables+=$'\n'"                      value: $(yaml_string "${each#*=}")"
  done
  while IFS=$'\t' read -r code _ action _; do
    if [[ $action == stop ]]; then
      codes+="${codes:+, }$code"
    fi
  done <"$HERE/exit_codes.tsv"
  if [[ -n $spot ]]; then
    on_spot=$'\n                cloud.google.com/gke-spot: "true"'
  fi
  text=$(<"$HERE/jobset.yaml")
  text=${text//@NAME@/"$NAME"}
  text=${text//@SLICE@/"$SLICE"}
  text=${text//@CONFIGURATION@/"$(configuration)"}
  text=${text//@MAX_RESTARTS@/"$most"}
  text=${text//@SLICES@/"$slices"}
  text=${text//@HOSTS@/"$HOSTS"}
  text=${text//@STOP_CODES@/"$codes"}
  text=${text//@GKE_ACCELERATOR@/"$GKE_ACCELERATOR"}
  text=${text//@TOPOLOGY@/"$TOPOLOGY"}
  text=${text//@SPOT@/"$on_spot"}
  text=${text//@CHIPS_PER_HOST@/"$((CHIPS / HOSTS))"}
  # Last, what the user wrote: it may hold such marks itself.
  text=${text//@ENV@/"$variables"}
  text=${text//@IMAGE@/"$image"}
  text=${text//@COMMAND@/"$words"}
  echo "$text"
}

check_run() {
  [[ -n $slice ]] || fail $EXIT_USER "found no --slice, expected one such as --slice v5e-64."
  [[ -n $image ]] || fail $EXIT_USER "found no --image, expected one such as" \
    "--image us-docker.pkg.dev/PROJECT/REPOSITORY/flan-jax:COMMIT"
  ((${#command[@]})) || fail $EXIT_USER "found no command, expected one behind '--'."
  check_env "a Kubernetes Secret" "${env[@]}"
  find_slice "$slice"
  [[ $image =~ :[A-Za-z0-9_.-]+$|@sha256: ]] || fail $EXIT_USER \
    "--image: found '$image' without a tag, expected one: the newest image differs from pod to pod."
}

# ------------------------------------------------------------------------------- the verbs

case $verb in
  render)
    check_run
    render
    ;;
  apply)
    check_run
    render >"$SCRATCH/jobset.yaml"
    look=("${kubectl[@]}" get jobset "$NAME" --ignore-not-found
      '--output=jsonpath={.metadata.annotations.flan-jax/configuration}')
    if [[ -n $DRY_RUN ]]; then
      run "${look[@]}"
      run "${kubectl[@]}" apply "--filename=$SCRATCH/jobset.yaml"
      exit 0
    fi
    present=$("${look[@]}" 2>"$SCRATCH/look.err") || {
      cat "$SCRATCH/look.err" >&2
      if grep -q "the server doesn't have a resource type" "$SCRATCH/look.err"; then
        fail $EXIT_FAILED "found no JobSet in the cluster, expected it. Install it:" \
          "https://jobset.sigs.k8s.io/docs/installation"
      fi
      fail $EXIT_FAILED "could not ask the cluster; kubectl's message is above. Connect to it:" \
        "gcloud container clusters get-credentials CLUSTER --location=LOCATION"
    }
    if [[ $present == "$(configuration)" ]]; then
      say "'$NAME' is there already, with this configuration ($present)."
      exit 0
    elif [[ -n $present ]]; then
      fail $EXIT_USER "'$NAME' exists: found configuration $present, expected $(configuration)." \
        "Take another NAME, or delete it first: $SCRIPT delete $NAME"
    fi
    "${kubectl[@]}" apply "--filename=$SCRATCH/jobset.yaml" || fail $EXIT_FAILED \
      "the manifest was refused; kubectl's message is above."
    say "pods wait until there are $slices node pools of machine type $GKE_MACHINE and topology" \
      "$TOPOLOGY: gcloud container node-pools create NAME --cluster=CLUSTER --location=LOCATION" \
      "--machine-type=$GKE_MACHINE --tpu-topology=$TOPOLOGY --num-nodes=$HOSTS${spot:+ --spot}"
    say "look: $SCRIPT status $NAME; $SCRIPT logs $NAME --follow"
    ;;
  status)
    look=("${kubectl[@]}" get jobset "$NAME" --ignore-not-found
      '--output=jsonpath={.status.terminalState}|{.status.restarts}|{.metadata.creationTimestamp}')
    pods=("${kubectl[@]}" get pods "--selector=jobset.sigs.k8s.io/jobset-name=$NAME"
      --output=wide)
    if [[ -n $DRY_RUN ]]; then
      run "${look[@]}"
      run "${pods[@]}"
      exit 0
    fi
    IFS='|' read -r state restarts made <<<"$("${look[@]}")"
    [[ -n $made ]] || fail $EXIT_FAILED "there is no JobSet '$NAME'. Start it:" \
      "$SCRIPT apply $NAME ..."
    echo "$NAME: ${state:-not ended}, ${restarts:-0} restarts, since $made"
    "${pods[@]}"
    [[ $state != Failed ]] || fail $EXIT_FAILED "'$NAME' has failed. Its log: $SCRIPT logs $NAME"
    ;;
  logs)
    selector="jobset.sigs.k8s.io/jobset-name=$NAME,jobset.sigs.k8s.io/job-index=$index"
    selector+=",batch.kubernetes.io/job-completion-index=$worker"
    run "${kubectl[@]}" logs "--selector=$selector" --container=flan-jax "--tail=$lines" \
      "${follow[@]}"
    ;;
  delete)
    run "${kubectl[@]}" delete jobset "$NAME" --ignore-not-found --wait
    ;;
esac
