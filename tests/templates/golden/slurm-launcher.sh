#!/usr/bin/env bash
#SBATCH -J jobqueue
#SBATCH -o /home/ada/logs/jobqueue-%J.out
#SBATCH -e /home/ada/logs/jobqueue-%J.err
#SBATCH -n 4
#SBATCH -N 4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=24
#SBATCH --mem=96G
#SBATCH -t 02:00:00
#SBATCH --signal=B:USR2@600

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)
# If mpiexec or srun has started the program that submitted this, its number is no node's here.
unset JOBQUEUE_NODE_RANK OMPI_COMM_WORLD_RANK PMIX_RANK PMI_RANK

JOBQUEUE_JOB_ID=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
OMP_NUM_THREADS=1 exec mpiexec -ppn 1 \
    python -m jobqueue.worker \
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
