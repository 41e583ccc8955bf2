#!/usr/bin/env bash
#SBATCH -J jobqueue
#SBATCH -n 1
#SBATCH -N 1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH -t 00:30:00

JOBQUEUE_JOB_ID=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
# The shell stays for the last lines: it passes TERM on and waits until the agent has ended.
agent= stopping=
trap 'stopping=1; kill -TERM $agent 2>/dev/null || :' TERM
exec /opt/python/bin/python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 1 \
    --nthreads 4 \
    --memory-limit 16320MiB \
    --name "jobqueue-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --death-timeout 60 &
agent=$!
[ -z "$stopping" ] || kill -TERM "$agent"
while :; do
    stopping=
    wait "$agent" && status=0 || status=$?
    [ -n "$stopping" ] || break
done

rm -rf /scratch/$USER/jobqueue
echo done
exit "$status"
