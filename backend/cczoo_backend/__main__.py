"""``python -m cczoo_backend``: open-webui with the kit, without a hook in its environment."""

from runpy import run_module

if __name__ == "__main__":
    run_module("cczoo_backend.command_line", run_name="__main__", alter_sys=True)
