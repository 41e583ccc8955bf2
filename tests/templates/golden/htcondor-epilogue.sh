#!/usr/bin/env bash
#CONDOR +JobBatchName = "jobqueue"
#CONDOR RequestCpus = 4
#CONDOR RequestMemory = 16384
#CONDOR output = jobqueue-$(ClusterId).$(ProcId).out
#CONDOR error = jobqueue-$(ClusterId).$(ProcId).err
#CONDOR log = jobqueue-$(ClusterId).log
#CONDOR stream_output = True
#CONDOR stream_error = True
#CONDOR transfer_input_files = /home/ada/.jobqueue/ada-1/credentials
#CONDOR periodic_remove = (JobStatus == 2) && ((time() - EnteredCurrentStatus) > 1800)

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

# Where machines share no files, HTCondor has put the credentials beside the script.
JOBQUEUE_CREDENTIALS=/home/ada/.jobqueue/ada-1/credentials
[ -d "$JOBQUEUE_CREDENTIALS" ] || JOBQUEUE_CREDENTIALS=$_CONDOR_SCRATCH_DIR/${JOBQUEUE_CREDENTIALS##*/}
JOBQUEUE_JOB_ID=$1
# The shell stays for the last lines: it passes signals on and waits until the agent has ended.
agent= stopping=
pass_on() { stopping=$1; kill -"$1" $agent 2>/dev/null || :; }
trap 'pass_on TERM' TERM
trap 'pass_on USR1' USR1
trap 'pass_on USR2' USR2
exec /opt/python/bin/python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials "$JOBQUEUE_CREDENTIALS" \
    --nworkers 1 \
    --nthreads 4 \
    --memory-limit 16320MiB \
    --name "jobqueue-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --walltime 1800 \
    --walltime-margin 120 \
    --death-timeout 60 &
agent=$!
[ -z "$stopping" ] || kill -"$stopping" "$agent"
while :; do
    stopping=
    wait "$agent" && status=0 || status=$?
    [ -n "$stopping" ] || break
done

rm -rf /scratch/$USER/jobqueue
echo done
exit "$status"
