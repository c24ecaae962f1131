#!/usr/bin/env bash
# Books TPU slices as a queued resource and waits until they are there.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: tpu_scripts/create.sh NAME --slice SLICE --zone ZONE [options]

Books SLICE (as in gin_configs/topologies: v4-128, or by shape: v4:4x4x4) under NAME and waits until
it is there. Run again, it goes on waiting, or says that all is there; nothing is booked twice.

  --slices N            this many slices, connected by the data-centre network (default 1)
  --tier TIER           on-demand (default), spot (may be taken away), reserved
  --project PROJECT     default: gcloud's
  --runtime-version V   image of the machines; default: that of the slice in slices.tsv
  --network N, --subnetwork N, --service-account A
  --internal-ips        machines without public addresses; ssh then goes to internal ones
  --valid-until SPAN    give up the request when it was not met within SPAN, as in 6h
  --wait SECONDS        for the slices to be there (default 86400); 0 only asks for them
  --poll SECONDS        between looks (default 30)
  --dry-run             print the commands only

example: tpu_scripts/create.sh flan-xxl --slice v4-128 --zone us-central2-b --tier spot

Ends with 0 (there, or asked for with --wait 0), 1 (refused or not met), 2 (the command line),
6 (taken away before it was there: tpu_scripts/resume.sh NAME asks again).
TEXT
}

slice='' SLICES=1 tier=on-demand ZONE='' PROJECT='' runtime='' wait_s=86400 poll_s=30
network='' subnetwork='' account='' valid='' SSH_INTERNAL='' NAME='' recorded=''
split_options "$@"
set -- "${ARGUMENTS[@]}"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1; shift; continue ;;
    --internal-ips) SSH_INTERNAL=1; shift; continue ;;
    --from-record) recorded=1; shift; continue ;; # What was booked before, as resume.sh wants it.
    --slice) slice=$(value_of "$@") ;;
    --slices) SLICES=$(value_of "$@") ;;
    --tier) tier=$(value_of "$@") ;;
    --zone) ZONE=$(value_of "$@") ;;
    --project) PROJECT=$(value_of "$@") ;;
    --runtime-version) runtime=$(value_of "$@") ;;
    --network) network=$(value_of "$@") ;;
    --subnetwork) subnetwork=$(value_of "$@") ;;
    --service-account) account=$(value_of "$@") ;;
    --valid-until) valid=$(value_of "$@") ;;
    --wait) wait_s=$(value_of "$@") ;;
    --poll) poll_s=$(value_of "$@") ;;
    -*) unknown_option "$1" ;;
    *)
      [[ -z $NAME ]] || fail $EXIT_USER "'$1' is one argument too many. See: $SCRIPT --help"
      NAME=$1
      shift
      continue
      ;;
  esac
  shift 2
done
[[ -n $NAME ]] || fail $EXIT_USER "found no NAME, expected one first. See: $SCRIPT --help"
check_name "$NAME"
RECORD=$RECORDS/$NAME
if [[ -n $recorded ]]; then
  load_booking "$NAME"
  slice=$SLICE
  tier=$(record_get "$RECORD/booking" tier)
  runtime=$(record_get "$RECORD/booking" runtime_version)
  network=$(record_get "$RECORD/booking" network)
  subnetwork=$(record_get "$RECORD/booking" subnetwork)
  account=$(record_get "$RECORD/booking" service_account)
  valid=$(record_get "$RECORD/booking" valid_until)
fi
[[ -n $slice ]] || fail $EXIT_USER "found no --slice, expected one such as --slice v4-128."
[[ -n $ZONE ]] || fail $EXIT_USER "found no --zone, expected one such as --zone us-central2-b."
check_number --slices "$SLICES" 1
check_number --wait "$wait_s" 0
check_number --poll "$poll_s" 1
find_slice "$slice"
runtime=${runtime:-$RUNTIME}
extra=()
case $tier in
  on-demand) ;;
  spot | reserved) extra+=("--$tier") ;;
  *) fail $EXIT_USER "--tier: found '$tier', expected on-demand, spot or reserved." ;;
esac
[[ -z $network ]] || extra+=("--network=$network")
[[ -z $subnetwork ]] || extra+=("--subnetwork=$subnetwork")
[[ -z $account ]] || extra+=("--service-account=$account")
[[ -z $valid ]] || extra+=("--valid-until-duration=$valid")
[[ -z $SSH_INTERNAL ]] || extra+=(--internal-ips)
need_gcloud
set_nodes

booking() {
  cat <<TEXT
slice=$SLICE
slices=$SLICES
tier=$tier
zone=$ZONE
project=$PROJECT
runtime_version=$runtime
internal_ips=$SSH_INTERNAL
network=$network
subnetwork=$subnetwork
service_account=$account
valid_until=$valid
TEXT
}
keep_booking() {
  if [[ -z $DRY_RUN ]]; then
    mkdir -p -- "$RECORD"
    booking >"$RECORD/booking"
  fi
}

# ---------------------------------------------------------------- what there is under NAME

if [[ -f $RECORD/booking ]] && ! booking | diff "$RECORD/booking" - >"$SCRATCH/changes"; then
  warn "'$NAME' was booked otherwise (< as booked, > as asked for now):"
  grep '^[<>]' "$SCRATCH/changes" >&2
  fail $EXIT_USER "give the same options, another NAME, or delete it first:" \
    "tpu_scripts/delete.sh $NAME"
fi
DRY_STATE=ABSENT queued_resource
if [[ $QR_STATE != ABSENT && $QR_ACCELERATOR != "$ACCELERATOR" ]] ||
  [[ $QR_STATE != ABSENT && ${QR_NODES:-1} != "$SLICES" ]]; then
  fail $EXIT_USER "'$NAME' exists: found ${QR_NODES:-1} x $QR_ACCELERATOR, expected" \
    "$SLICES x $ACCELERATOR. Take another NAME, or delete it first: tpu_scripts/delete.sh $NAME"
fi
case $QR_STATE in
  FAILED | SUSPENDED | SUSPENDING)
    fail $EXIT_FAILED "'$NAME' is $QR_STATE${QR_ERROR:+: $QR_ERROR}. It never comes back by" \
      "itself. Book it anew and go on: tpu_scripts/resume.sh $NAME; or give it up:" \
      "tpu_scripts/delete.sh $NAME"
    ;;
  DELETING) fail $EXIT_FAILED "'$NAME' is being deleted. Try again in some minutes." ;;
esac

# --------------------------------------------------------------------------------- booking

explain_refusal() { # explain_refusal FILE: the smallest fix for what gcloud said.
  local text
  text=$(<"$1")
  if [[ $text =~ [Qq]uota|RESOURCE_EXHAUSTED ]]; then
    warn "the quota of project ${PROJECT:-gcloud uses} in $ZONE does not allow $SLICES x $SLICE" \
      "($((CHIPS * SLICES)) chips, $tier). Take a smaller slice or another --tier or --zone, or" \
      "ask for more: https://console.cloud.google.com/iam-admin/quotas (service tpu.googleapis.com)"
  elif [[ $text =~ PERMISSION_DENIED|permission|SERVICE_DISABLED ]]; then
    warn "expected the role roles/tpu.admin and the service tpu.googleapis.com:" \
      "gcloud services enable tpu.googleapis.com"
  elif [[ $text =~ [Aa]ccelerator|[Rr]untime ]]; then
    warn "$ZONE may not have $ACCELERATOR or the image $runtime. What it has:" \
      "gcloud compute tpus accelerator-types list --zone=$ZONE"
  fi
}

if [[ $QR_STATE == ABSENT ]]; then
  tpu queued-resources create "$NAME"
  COMMAND+=("--accelerator-type=$ACCELERATOR" "--runtime-version=$runtime")
  if ((SLICES == 1)); then
    COMMAND+=("--node-id=$NAME")
  else
    COMMAND+=("--node-count=$SLICES" "--node-prefix=$NAME")
  fi
  COMMAND+=("${extra[@]}" --async --quiet)
  say "booking $SLICES x $SLICE: $((CHIPS * SLICES)) chips, $((HOSTS * SLICES)) hosts, $tier."
  if [[ -n $DRY_RUN ]]; then
    run "${COMMAND[@]}"
  elif ! "${COMMAND[@]}" 2>"$SCRATCH/create.err"; then
    cat "$SCRATCH/create.err" >&2
    explain_refusal "$SCRATCH/create.err"
    fail $EXIT_FAILED "'$NAME' was not booked; gcloud's message is above."
  fi
fi
keep_booking

# --------------------------------------------------------------------------------- waiting

begun=$(now)
shown=
while :; do
  queued_resource
  if [[ $QR_STATE != "$shown" ]]; then
    say "'$NAME' is $QR_STATE."
    shown=$QR_STATE
  fi
  case $QR_STATE in
    ACTIVE) break ;;
    FAILED)
      echo "$QR_ERROR" >"$SCRATCH/create.err"
      explain_refusal "$SCRATCH/create.err"
      fail $EXIT_FAILED "'$NAME' was not given: ${QR_ERROR:-no reason given}." \
        "Give the request up: tpu_scripts/delete.sh $NAME"
      ;;
    SUSPENDING | SUSPENDED)
      fail $EXIT_PREEMPTED "'$NAME' was taken away before it was there." \
        "Ask again: tpu_scripts/resume.sh $NAME"
      ;;
    ABSENT | DELETING)
      fail $EXIT_FAILED "'$NAME' was deleted while it was waited for."
      ;;
  esac
  waited=$(($(now) - begun))
  if ((waited >= wait_s)); then
    if ((wait_s == 0)); then
      say "asked for; not waiting. Look again: tpu_scripts/status.sh $NAME"
      exit 0
    fi
    fail $EXIT_FAILED "'$NAME' is $QR_STATE after $waited s, expected ACTIVE within $wait_s s." \
      "It stays in the queue: run the same command to go on waiting, or tpu_scripts/delete.sh $NAME"
  fi
  sleep "$poll_s"
done
say "there: ${NODES[*]}. Next: tpu_scripts/launch.sh $NAME -- flan-jax train --multihost ..."
