"""What a person sees on a terminal: progress while a run lasts, listings, trees and a summary on stdout.

`rich` is imported only where it draws. Nothing here fails for want of a reader, and nothing but a terminal gets
a control character.
"""

from job.console.listing import print_details, print_listing
from job.console.printing import print_line
from job.console.progress import Progress, progress

__all__ = ["Progress", "print_details", "print_line", "print_listing", "progress"]
