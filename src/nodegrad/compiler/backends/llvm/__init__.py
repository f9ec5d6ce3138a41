"""The LLVM backend: vector programs as native code, compiled in process by llvmlite."""

__all__ = ()
