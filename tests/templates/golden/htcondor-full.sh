#!/usr/bin/env bash
#CONDOR +JobBatchName = "dask-worker"
#CONDOR RequestMemory = 95368
#CONDOR RequestDisk = 9765625
#CONDOR output = /home/ada/logs/dask-worker-$(ClusterId).$(ProcId).out
#CONDOR error = /home/ada/logs/dask-worker-$(ClusterId).$(ProcId).err
#CONDOR log = /home/ada/logs/dask-worker-$(ClusterId).log
#CONDOR stream_output = True
#CONDOR transfer_input_files = /home/ada/.jobqueue/ada-1/credentials
#CONDOR periodic_remove = (JobStatus == 2) && ((time() - EnteredCurrentStatus) > 43200)
#CONDOR +Project = "physics"
#CONDOR Requirements = (OpSys == LINUX)

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

module load python
echo "on $(hostname)"

# Where machines share no files, HTCondor has put the credentials beside the script.
JOBQUEUE_CREDENTIALS=/home/ada/.jobqueue/ada-1/credentials
[ -d "$JOBQUEUE_CREDENTIALS" ] || JOBQUEUE_CREDENTIALS=$_CONDOR_SCRATCH_DIR/${JOBQUEUE_CREDENTIALS##*/}
JOBQUEUE_JOB_ID=$1
exec srun -n 1 -c 20 python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials "$JOBQUEUE_CREDENTIALS" \
    --nworkers 6 \
    --nthreads 4 \
    --memory-limit 15883MiB \
    --name "dask-worker-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --walltime 43200 \
    --walltime-margin 120 \
    --death-timeout 90 \
    --local-directory "$TMPDIR/$USER" \
    --interface ib0 \
    --resources GPU=1 \
    --preload site_setup.py
