#!/bin/bash
# Process 1 of a compute node: names the host, starts slurmd, and reaps what others leave behind.
# When it is killed, the kernel kills every other process of the node in the same instant.
set -eu
name=$1 hosts=$2 conf=$3

hostname "$name"
mount --bind "$hosts" /etc/hosts
slurmd -D -N "$name" -f "$conf" &

trap : TERM  # an interrupted wait must not end the node
while :; do
  sleep 3600 &
  wait $! || true
done
