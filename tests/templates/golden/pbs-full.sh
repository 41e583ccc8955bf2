#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -o /home/ada/logs/
#PBS -e /home/ada/logs/
#PBS -q regular
#PBS -A P123
#PBS -l select=1:ncpus=24:mem=100GB
#PBS -l place=excl
#PBS -r n

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

# PBS starts jobs in the home folder.
cd "${PBS_O_WORKDIR:-.}"

module load python
echo "on $(hostname)"

JOBQUEUE_JOB_ID=${PBS_JOBID:-$SLURM_JOB_ID}
exec srun -n 1 -c 20 python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 6 \
    --nthreads 4 \
    --memory-limit 15883MiB \
    --name "dask-worker-${JOBQUEUE_JOB_ID%%.*}" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --walltime 43200 \
    --walltime-margin 120 \
    --death-timeout 90 \
    --local-directory "$TMPDIR/$USER" \
    --interface ib0 \
    --resources GPU=1 \
    --preload site_setup.py
