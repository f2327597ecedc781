"""How the page looks to Gradio; the rest is in templates/studio.css."""

from __future__ import annotations

import gradio as gr

_LETTERS = ["system-ui", "sans-serif"]  # those of the machine: nothing is fetched


def theme() -> gr.themes.Base:
    """Return a theme with the colours of the voice report."""
    teal = gr.themes.Color(
        "#eefaf8", "#d3f1ec", "#a8e2d9", "#74ccc0", "#3fc1b0", "#168f82", "#0b6b62", "#095850",
        "#08463f", "#063530", "#042521",
    )  # fmt: skip
    return gr.themes.Base(
        primary_hue=teal,
        secondary_hue=teal,
        neutral_hue=gr.themes.colors.slate,
        font=_LETTERS,
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#fbfaf7",
        body_background_fill_dark="#14181b",
        body_text_color="#1d2327",
        body_text_color_dark="#e6eaec",
        body_text_color_subdued="#5a646b",
        body_text_color_subdued_dark="#a2adb4",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c2226",
        block_border_color="#d5d9dc",
        block_border_color_dark="#3b444a",
        block_label_text_color="#3d474e",
        block_label_text_color_dark="#c6cfd4",
        block_info_text_color="#5a646b",
        block_info_text_color_dark="#a2adb4",
        input_background_fill="#ffffff",
        input_background_fill_dark="#14181b",
        input_placeholder_color="#66717a",
        input_placeholder_color_dark="#98a4ac",
        button_primary_background_fill="#0b6b62",
        button_primary_background_fill_hover="#095850",
        button_primary_background_fill_dark="#3fc1b0",
        button_primary_background_fill_hover_dark="#74ccc0",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#0d1416",
        button_secondary_text_color="#1d2327",
        button_secondary_text_color_dark="#e6eaec",
    )
