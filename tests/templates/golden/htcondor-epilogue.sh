#!/usr/bin/env bash
#CONDOR +JobBatchName = "jobqueue"
#CONDOR RequestCpus = 4
#CONDOR RequestMemory = 16384
#CONDOR output = jobqueue-$(ClusterId).$(ProcId).out
#CONDOR error = jobqueue-$(ClusterId).$(ProcId).err
#CONDOR log = jobqueue-$(ClusterId).log
#CONDOR stream_output = True
#CONDOR stream_error = True
#CONDOR periodic_remove = (JobStatus == 2) && ((time() - EnteredCurrentStatus) > 1800)

JOBQUEUE_JOB_ID=$1
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
