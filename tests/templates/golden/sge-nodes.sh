#!/usr/bin/env bash
#$ -S /bin/bash
#$ -N jobqueue
#$ -cwd
#$ -j y
#$ -o /home/ada/logs/
#$ -e /home/ada/logs/
#$ -l h_rt=02:00:00
#$ -notify
#$ -pe mpi24 96

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)
# If mpiexec or srun has started the program that submitted this, its number is no node's here.
unset JOBQUEUE_NODE_RANK OMPI_COMM_WORLD_RANK PMIX_RANK PMI_RANK

export JOBQUEUE_JOB_ID=$JOB_ID$([ "${SGE_TASK_ID:-undefined}" = undefined ] || echo ".$SGE_TASK_ID")
# What runs on each node: there, processes begin without the environment of this script.
JOBQUEUE_NODE_SCRIPT="/home/ada/.jobqueue/ada-1/exit/$JOBQUEUE_JOB_ID.sh"
(
umask 077
{
cat <<'END_OF_BEGINNING'
PATH=$PATH:$SGE_BINARY_PATH
if [ $# = 0 ]; then
    # Warnings are for the agents, which know by themselves when the job ends.
    trap "" USR1 USR2
    set -- $(cut -d " " -f 1 "$PE_HOSTFILE" | sort -u)
    if [ $# != 4 ]; then
        echo "this job should have 4 nodes, and has $#: $*" >&2
        exit 1
    fi
    rank=0 running=
    for host; do
        qrsh -inherit -nostdin "$host" /bin/bash "$0" "$rank" &
        running="$running $!"
        rank=$((rank + 1))
    done
    # The job ends with the first that fails. (`wait -n` would tell of that: from bash 4.3 on.)
    while [ -n "$running" ]; do
        sleep 1
        set -- $running
        running=
        for pid; do
            if kill -0 "$pid" 2>/dev/null; then
                running="$running $pid"
            elif ! wait "$pid"; then
                kill "$@" 2>/dev/null
                exit 1
            fi
        done
    done
    exit
fi
rank=$1
END_OF_BEGINNING
export -p
cat <<'END_OF_SCRIPT'
cd "$PWD"
export JOBQUEUE_NODE_RANK=$rank
exec /opt/python/bin/python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 2 \
    --nthreads 12 \
    --memory-limit 49120MiB \
    --name "jobqueue-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool mpi \
    --nodes 4 \
    --walltime 7200 \
    --walltime-margin 300 \
    --death-timeout 60 \
    --resources GPU=1 \
    --exit-record "/home/ada/.jobqueue/ada-1/exit/$JOBQUEUE_JOB_ID.json"
END_OF_SCRIPT
} >"$JOBQUEUE_NODE_SCRIPT"
)
# The shell stays for the last lines: it passes signals on and waits until the agent has ended.
agent= stopping=
pass_on() { stopping=$1; kill -"$1" $agent 2>/dev/null || :; }
trap 'pass_on TERM' TERM
trap 'pass_on USR1' USR1
trap 'pass_on USR2' USR2
exec /bin/bash "$JOBQUEUE_NODE_SCRIPT" &
agent=$!
[ -z "$stopping" ] || kill -"$stopping" "$agent"
while :; do
    stopping=
    wait "$agent" && status=0 || status=$?
    [ -n "$stopping" ] || break
done

echo done
exit "$status"
