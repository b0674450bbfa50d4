"""Whether an artifact is what TensorFlow's C++ can be handed without harm, found out in Python alone.

Damaged and hostile files have made TensorFlow 2.21 abort, overflow its stack and take all memory: at
functions that call themselves, at constants that declare terabytes, at checkpoints whose indexes hold
impossible shapes. What is read here is read once, bounded, and in time linear in its size.
"""
