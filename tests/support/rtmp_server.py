"""A real RTMP server of one's own: nginx with its RTMP module on a free port."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.secrecy import SECRECY
from tests.support.server_process import ServerProcess

_MODULES = Path("/usr/lib/nginx/modules")

_CONFIG = """
daemon off;
master_process off;
load_module {modules}/ngx_rtmp_module.so;
error_log {log} info;
pid {directory}/nginx.pid;
events {{ worker_connections 64; }}
rtmp {{
    server {{
        listen 127.0.0.1:{port};
        access_log off;
        chunk_size 4096;
        application live {{ live on; wait_key on; }}
        application recorded {{ live on; record all; record_path {directory}; record_unique on; record_suffix .flv; }}
        application closed {{ live on; deny publish all; }}
    }}
}}
"""


def nginx() -> str | None:
    """The nginx that is installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def why_unavailable() -> str:
    """Why there is no RTMP server here; empty when there is one."""
    return "" if nginx() and (_MODULES / "ngx_rtmp_module.so").exists() else "no nginx with RTMP: run scripts/setup"


class RtmpServer(ServerProcess):
    """One nginx process, which listens at the same port when it is started again.

    Applications: `live`, `recorded` (what is published is written into FLV files, see `recordings`), `closed`.
    """

    def url(self, key: str, application: str = "live") -> str:
        SECRECY.keep(key, "a stream key")
        return f"rtmp://127.0.0.1:{self.port}/{application}/{key}"

    def recordings(self, key: str) -> list[Path]:
        """What was published as `key` to the application `recorded`, a file for each time, oldest first."""
        return sorted(self.directory.glob(f"{key}-*.flv"), key=lambda path: path.stat().st_ctime_ns)

    def command(self) -> list[str]:
        config = self.directory / "nginx.conf"
        config.write_text(_CONFIG.format(modules=_MODULES, directory=self.directory, log=self.log_path, port=self.port))
        program = nginx()
        assert program is not None
        return [program, "-p", str(self.directory), "-c", str(config), "-e", str(self.log_path)]
