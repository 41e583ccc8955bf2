#!/usr/bin/env bash
#PBS -N jobqueue
#PBS -o /home/ada/logs/
#PBS -e /home/ada/logs/
#PBS -l select=4:ncpus=24:mpiprocs=1:mem=96GB
#PBS -l place=scatter
#PBS -l walltime=02:00:00

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)
# If mpiexec or srun has started the program that submitted this, its number is no node's here.
unset JOBQUEUE_NODE_RANK OMPI_COMM_WORLD_RANK PMIX_RANK PMI_RANK

# PBS starts jobs in the home folder.
cd "${PBS_O_WORKDIR:-.}"

export JOBQUEUE_JOB_ID=${PBS_JOBID:-$SLURM_JOB_ID}
# What runs on each node: there, processes begin without the environment of this script.
JOBQUEUE_NODE_SCRIPT="/home/ada/.jobqueue/ada-1/exit/$JOBQUEUE_JOB_ID.sh"
(
umask 077
{
cat <<'END_OF_BEGINNING'
rank=${PBS_NODENUM:-$SLURM_NODEID}
END_OF_BEGINNING
export -p
cat <<'END_OF_SCRIPT'
cd "$PWD"
export JOBQUEUE_NODE_RANK=$rank
exec /opt/python/bin/python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 2 \
    --nthreads 12 \
    --memory-limit 49120MiB \
    --name "jobqueue-${JOBQUEUE_JOB_ID%%.*}" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool mpi \
    --nodes 4 \
    --walltime 7200 \
    --walltime-margin 300 \
    --death-timeout 60 \
    --resources GPU=1 \
    --exit-record "/home/ada/.jobqueue/ada-1/exit/$JOBQUEUE_JOB_ID.json"
END_OF_SCRIPT
} >"$JOBQUEUE_NODE_SCRIPT"
)
exec pbsdsh /bin/bash "$JOBQUEUE_NODE_SCRIPT"
