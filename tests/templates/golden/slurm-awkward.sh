#!/usr/bin/env bash
#SBATCH -J "my job"
#SBATCH -o "/home/ada lovelace/100%%u/logs/my job-%J.out"
#SBATCH -e "/home/ada lovelace/100%%u/logs/my job-%J.err"
#SBATCH -n 1
#SBATCH -N 1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

JOBQUEUE_JOB_ID=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
cd /x && OMP_NUM_THREADS=1 exec apptainer exec image.sif python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 1 \
    --nthreads 4 \
    --memory-limit 16320MiB \
    --name "my job-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --death-timeout 60 \
    --local-directory "$HOME/scratch dir/$USER"
