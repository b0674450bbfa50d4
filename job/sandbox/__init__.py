"""The sandbox of the workers: what a model's code may touch, which is as good as a stranger's program.

A worker confines itself before it reads anything of an artifact (`confine`), by two means of the kernel that no
process can take off again. Landlock (`landlock`) lets it read the libraries (`places`) and its own input, and write
its own scratch; seccomp (`seccomp`) denies it sockets, programs, other processes and what else Landlock does not
guard. Nothing here imports TensorFlow.
"""

from job.sandbox.confinement import OFF, Confinement, Sandbox, Setting
from job.sandbox.confining import confine, prepare

__all__ = ["OFF", "Confinement", "Sandbox", "Setting", "confine", "prepare"]
