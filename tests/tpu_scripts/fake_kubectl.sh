#!/bin/bash
# Records each call in $FAKE_CLUSTER/calls; `get` answers with the file of that name, or fails with
# the file `error`. What is applied is kept as `applied`.
echo "$*" >>"$FAKE_CLUSTER/calls"
if [[ -f $FAKE_CLUSTER/error ]]; then
  cat "$FAKE_CLUSTER/error" >&2
  exit 1
fi
for word in "$@"; do
  case $word in
    --filename=*) cp "${word#*=}" "$FAKE_CLUSTER/applied" ;;
    --output=*) cat "$FAKE_CLUSTER/answer" 2>/dev/null ;;
  esac
done
exit 0
