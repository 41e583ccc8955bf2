#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -o /home/ada/logs/
#PBS -e /home/ada/logs/
#PBS -q regular
#PBS -A P123
#PBS -l nodes=1:ppn=24,mem=100gb
#PBS -l walltime=12:00:00
#PBS -r n

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

# PBS starts jobs in the home folder.
cd "${PBS_O_WORKDIR:-.}"

module load python
echo "on $(hostname)"

JOBQUEUE_JOB_ID=${MOAB_JOBID:-$PBS_JOBID}
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
