"""Small browser components (Streamlit components v2): data goes in as JSON and is set as text, never as markup."""
