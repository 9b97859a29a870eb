"""What componentize-py makes a component of: everything that is imported here is in its snapshot."""

import gc
import importlib
import pkgutil

import wit_world.imports
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import inferlet_core_runtime as runtime
from wit_world.imports import pie_program_source_0_1_0 as source

import inferlet
import pie_runtime.snapshot
from pie_runtime import event_loop, immortal, library, output, program, standard_input

assert inferlet is not None and pie_runtime.snapshot is not None
for module in pkgutil.iter_modules(wit_world.imports.__path__, "wit_world.imports."):
    importlib.import_module(module.name)


def own_program() -> bytes:
    """The program that `pie build` puts beside this file; nothing in the server's own runtime."""
    try:
        with open("/0/program.zip", "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


PROGRAM = own_program()
output.install()
standard_input.install()
event_loop.install()
library.install("/0/library.bin")


class InferletCoreRun(exports.InferletCoreRun):
    """inferlet:core/run."""

    def run(self) -> None:
        """Runs the program; what it fails of is the error of the call."""
        value, problem = program.run(PROGRAM or source.bytes(), runtime.get_arguments())
        output.flush()
        if problem is not None:
            raise Err(problem)
        if value is not None:
            runtime.set_return(value)


program.warm_up()
IMMORTAL = immortal.collect()
gc.freeze()
