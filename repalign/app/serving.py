"""Serving: the page on a port of this machine, and nothing that leaves it."""

from typing import Any

from gradio import themes
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from repalign.app.page import Page, style

LOCAL = ("127.0.0.1", "localhost", "::1")
# The browser may load nothing from elsewhere and send nothing elsewhere, whatever a text holds.
# Gradio evaluates scripts of its own from strings.
_POLICY = "; ".join(
    [
        "default-src 'self' blob: data:",
        "script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'self'",
    ]
)


class _Policy:
    """Adds the policy to every answer of the server."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = (b"content-security-policy", _POLICY.encode())
                message["headers"] = [*message.get("headers", []), extra]
            await send(message)

        await self.app(scope, receive, guarded)


def serve(page: Page, host: str = "127.0.0.1", port: int | None = None) -> str:
    """Serve a page from a thread of its own, until `page.blocks.close()`.

    Nothing is counted, shared, or kept by the browser after it is closed.

    Args:
        page: what is served.
        host: where it listens. On `127.0.0.1` only programs of this machine reach it, and requests
            under other names are refused, so that no website can pose as it.
        port: the port; a free one from 7860 on without it.

    Returns:
        The address.
    """
    middleware = [Middleware(_Policy)]
    if host in LOCAL:
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL)))
    _, address, _ = page.blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        inline=False,
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        app_kwargs={"middleware": middleware},
        theme=_theme(),
        # Not as `css`, which gradio rewrites so that it reaches nothing above the page.
        head=f"<style>{style()}</style>",
    )
    return address


def _theme() -> themes.Base:
    plain = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    mono = ("ui-monospace", "Menlo", "Consolas", "monospace")
    theme = themes.Base(primary_hue="sky", neutral_hue="slate", font=plain, font_mono=mono)
    # Dark enough to be read: the theme's own grey has a contrast of 2.6 on white.
    return theme.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
    )
