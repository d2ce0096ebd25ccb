"""How a run is started and seen to end on the page."""

RUN, STOP = ".mi-primary", ".mi-stop"


def finished(page) -> None:
    page.wait_for_function(
        "() => document.querySelector('.mi-stop').hidden && !document.querySelector('.mi-primary').disabled"
    )
