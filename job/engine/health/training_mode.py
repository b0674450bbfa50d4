"""What is said about batch norm in training mode that was left as it is."""

from collections.abc import Iterator, Sequence

from job.engine.health.batch_norm import BatchNorm, find_training_mode, functions_in_training
from job.engine.health.moving_statistics import pair
from job.engine.health.statistics import have_moved
from job.engine.health.subject import Subject
from job.records import Finding


def batch_norm_inference(norms: Sequence[BatchNorm]) -> Finding:
    """Say that batch norm was put into inference mode, as asked for or since the graph trained the model."""
    return Finding(
        code="batch_norm_inference",
        cause=f"{len(norms)} batch norms that were saved in training mode use their moving statistics "
        f"(first {norms[0].node}); parity is with the TF1 graph changed likewise",
        remedy="--batch-norm as_saved keeps them as they are",
    )


def batch_norm_training(subject: Subject) -> Iterator[Finding]:
    """Say that answers depend on the other examples of the batch, and whether the model could do without."""
    norms = find_training_mode(subject.path)
    if norms:
        yield _left_as_saved(subject, norms)
    if functions := functions_in_training(subject.path):
        yield Finding(
            code="batch_norm_training",
            cause=f"functions of the graph hold batch norm in training mode (first {functions[0]}): where one is "
            "called, an example's answer depends on the others in its batch",
            remedy="export it again with training=False",
            severity="warning",
        )


def _left_as_saved(subject: Subject, norms: Sequence[BatchNorm]) -> Finding:
    known = pair(subject.path, norms, subject.stored)
    moved = have_moved(subject.path, known.values(), subject.checkpoint)
    names = ", ".join(norm.node for norm in norms[:3])
    return Finding(
        code="batch_norm_training",
        cause=f"{len(norms)} batch norms were saved in training mode ({names}{' …' if len(norms) > 3 else ''}): "
        "an example's answer depends on the others in its batch; "
        f"the moving statistics of {len(known) or 'none'} of them are in the artifact"
        f"{'' if moved else ', some of them as they began'}",
        remedy="--batch-norm inference lets them use their moving statistics"
        if len(known) == len(norms) and moved
        else "export it again with training=False; until then call it with batches like those of training",
        severity="warning",
    )
