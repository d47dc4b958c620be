/** VitePress's own theme, with the colours of the site and the names of files above their blocks. */

import DefaultTheme from 'vitepress/theme'
import './site.css'

export default DefaultTheme
