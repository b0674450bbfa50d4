"""Small graphs that take TensorFlow down, keep it busy for ever, or ask for what no model may do."""

from typing import Final

FLOAT_INPUT: Final = 'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }\n'
FLOAT: Final = 'attr { key: "T" value { type: DT_FLOAT } }'

SIMPLE: Final = f'{FLOAT_INPUT}node {{ name: "y" op: "Neg" input: "x" {FLOAT} }}\n'
"""A model that is none of all that."""

RECURSION: Final = f"""{FLOAT_INPUT}
node {{ name: "y" op: "again" input: "x" }}
library {{ function {{
  signature {{
    name: "again"
    input_arg {{ name: "x" type: DT_FLOAT }}
    output_arg {{ name: "y" type: DT_FLOAT }}
  }}
  node_def {{ name: "call" op: "again" input: "x" }}
  ret {{ key: "y" value: "call:y:0" }}
}} }}
versions {{ producer: 134 }}
"""
"""A function that calls itself: TensorFlow's import of it overflows the stack, which is a SIGSEGV."""

ENDLESS_LOOP: Final = f"""{FLOAT_INPUT}
node {{ name: "enter" op: "Enter" input: "x" {FLOAT} attr {{ key: "frame_name" value {{ s: "loop" }} }} }}
node {{ name: "merge" op: "Merge" input: "enter" input: "next" {FLOAT} attr {{ key: "N" value {{ i: 2 }} }} }}
node {{ name: "true" op: "Const" input: "^merge"
  attr {{ key: "dtype" value {{ type: DT_BOOL }} }}
  attr {{ key: "value" value {{ tensor {{ dtype: DT_BOOL tensor_shape {{ }} bool_val: true }} }} }} }}
node {{ name: "cond" op: "LoopCond" input: "true" }}
node {{ name: "switch" op: "Switch" input: "merge" input: "cond" {FLOAT} }}
node {{ name: "body" op: "Neg" input: "switch:1" {FLOAT} }}
node {{ name: "next" op: "NextIteration" input: "body" {FLOAT} }}
node {{ name: "y" op: "Exit" input: "switch" {FLOAT} }}
versions {{ producer: 134 }}
"""
"""``tf.while_loop(lambda x: True, tf.negative, [x])`` of TF1."""

ABORT: Final = f"""{FLOAT_INPUT}
node {{ name: "end" op: "Abort" attr {{ key: "exit_without_error" value {{ b: true }} }} }}
node {{ name: "y" op: "Neg" input: "x" input: "^end" {FLOAT} }}
"""
"""An op that ends its process, with code 0 if it is told so."""

UNKNOWN_OP: Final = f'{FLOAT_INPUT}node {{ name: "y" op: "AcmeFusedRelu" input: "x" {FLOAT} }}\n'
"""An op that no TensorFlow has."""
