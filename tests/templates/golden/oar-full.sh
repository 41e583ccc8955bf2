#!/usr/bin/env bash
#OAR -n dask-worker
#OAR -O /home/ada/logs/dask-worker-%jobid%.out
#OAR -E /home/ada/logs/dask-worker-%jobid%.err
#OAR --project P123
#OAR -l /nodes=1/core=24,walltime=12:00:00
#OAR --checkpoint 120
#OAR -p memcore>=3974
#OAR -t besteffort
#OAR -p (cluster='big') AND memcore>=3974

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

module load python
echo "on $(hostname)"

JOBQUEUE_JOB_ID=$OAR_JOB_ID
exec srun -n 1 -c 20 python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
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
