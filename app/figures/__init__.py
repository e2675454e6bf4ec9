"""Pure table -> Plotly figure: no Streamlit here, so every figure is tested without a page."""
