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
    --death-timeout 60
